package postgres

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

func TestProcessesThatHaveEnded(t *testing.T) {
	child := exec.Command("cat")
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	started, err := startOf(child.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	number := strconv.Itoa(child.Process.Pid)
	id := processRoom() + " " + number + " " + started
	if ended(id) {
		t.Errorf("%q runs", id)
	}
	if !ended(processRoom() + " " + number + " 1") {
		t.Error("another process has the number now")
	}
	_ = in.Close()
	if err := child.Wait(); err != nil {
		t.Fatal(err)
	}
	if !ended(id) {
		t.Errorf("%q has ended", id)
	}
	us := processID()
	if len(strings.Fields(us)) != 4 || ended(us) {
		t.Errorf("this process is %q", us)
	}
	for _, unknown := range []string{"", "elsewhere pid:[1] " + number + " " + started, processRoom(), processRoom() + " x 1", processRoom() + " -1 1", processRoom() + " 1"} {
		if ended(unknown) {
			t.Errorf("%q is said to have ended, which nobody can know", unknown)
		}
	}
}
