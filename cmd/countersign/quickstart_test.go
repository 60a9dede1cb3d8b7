package main

import (
	"bufio"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// quickstart runs `countersign quickstart` and returns what it says up to the
// line that tells how to stop.
func quickstart(t *testing.T, dir string, flags ...string) (string, *exec.Cmd) {
	t.Helper()
	command := exec.Command(program(t), append([]string{"quickstart", "--dir", dir}, flags...)...)
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	complaints := new(transcript)
	command.Stderr = complaints
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	var text strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		fmt.Fprintln(&text, lines.Text())
		if strings.HasPrefix(lines.Text(), "Stop with") {
			return text.String(), command
		}
	}
	t.Fatalf("quickstart ended:\n%s\n%s", &text, complaints)
	return "", nil
}

// What quickstart prints is what works: its lines are run as they are.
func TestQuickstart(t *testing.T) {
	t.Parallel() // it waits for a code
	need(t, "radclient")
	dir := filepath.Join(t.TempDir(), "a data folder")
	ports := []string{}
	for _, flag := range []string{"--auth-port", "--acct-port"} {
		ports = append(ports, flag, fmt.Sprint(freePort(t, "udp").Port()))
	}
	for _, flag := range []string{"--web-port", "--metrics-port"} {
		ports = append(ports, flag, fmt.Sprint(freePort(t, "tcp").Port()))
	}
	said, command := quickstart(t, dir, ports...)
	for _, want := range []string{`OTP PIN \d{4} `, `otpauth://totp/Countersign:alice\?`, "█"} {
		if !regexp.MustCompile(want).MatchString(said) {
			t.Errorf("it did not say %s:\n%s", want, said)
		}
	}
	radclient := regexp.MustCompile(`(?m)^  (printf .*radclient.*)$`).FindStringSubmatch(said)
	login := regexp.MustCompile(`(?m)^  (.* login alice --wait .*)$`).FindStringSubmatch(said)
	if radclient == nil || login == nil {
		t.Fatalf("the lines that log in are missing:\n%s", said)
	}
	shell := func(line string) string {
		out, _ := exec.Command("bash", "-c", line).CombinedOutput()
		return string(out)
	}
	if out := shell(radclient[1]); !strings.Contains(out, "Received Access-Accept") {
		t.Errorf("%s\n%s", radclient[1], out)
	}
	if out := shell(radclient[1]); !strings.Contains(out, "Received Access-Reject") {
		t.Errorf("again: %s\n%s", radclient[1], out)
	}
	if out := shell(login[1]); !strings.Contains(out, "Access-Accept") {
		t.Errorf("%s\n%s", login[1], out)
	}
	if out := shell(radclient[1]); !strings.Contains(out, "Received Access-Reject") {
		t.Errorf("after a Message-Authenticator was seen: %s\n%s", radclient[1], out)
	}

	// Taken ports are named, with a way out, and nothing is left behind.
	other := filepath.Join(t.TempDir(), "other")
	out, err := exec.Command(program(t), append([]string{"quickstart", "--dir", other}, ports...)...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "--auth-port") || !strings.Contains(string(out), "127.0.0.1:") {
		t.Errorf("on taken ports: %v\n%s", err, out)
	}

	// Again it starts what is there and overwrites nothing.
	if err := command.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}
	again, _ := quickstart(t, dir)
	if !strings.Contains(again, "there already") || strings.Contains(again, "OTP PIN "+pinOf(said)) {
		t.Errorf("the second time it said:\n%s", again)
	}
}

func pinOf(said string) string {
	return regexp.MustCompile(`OTP PIN (\d{4})`).FindStringSubmatch(said)[1]
}
