package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"countersign/conf"
	"countersign/otp"
)

// The socket's mode keeps others out; and where somebody has opened it wide,
// the kernel's word on who calls does.
func TestOnlyRootAndTheServersAccountMayAct(t *testing.T) {
	need(t, "curl", "setpriv")
	if os.Getuid() != 0 {
		t.Fatal("another account is needed to ask from: run as root")
	}
	in := install(t, "")
	in.start()
	data := filepath.Join(in.dir, "data")
	socket := filepath.Join(data, "admin.sock")
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v; want mode 0600", info.Mode(), err)
	}
	ask := fmt.Sprintf(`curl -sS --unix-socket %s -d '{"request":{}}' http://countersign/v1/user.list`, socket)
	if out, err := in.shell(ask); err != nil || !strings.Contains(out, `"result"`) {
		t.Errorf("root: %v\n%s", err, out)
	}
	stranger := "setpriv --reuid=65534 --regid=65534 --clear-groups " + ask
	if out, err := in.shell(stranger); err == nil {
		t.Errorf("another account got through mode 0600:\n%s", out)
	}
	for dir := data; dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(socket, 0o666); err != nil {
		t.Fatal(err)
	}
	if out, err := in.shell(stranger); err != nil || !strings.Contains(out, `"kind":"forbidden"`) {
		t.Errorf("another account: %v\n%s", err, out)
	}
}

// The shipped configuration and package otp agree on what is usual.
func TestDefaultPolicy(t *testing.T) {
	if got, want := policy(conf.Defaults()), otp.DefaultPolicy(); got != want {
		t.Errorf("configuration %+v, package %+v", got, want)
	}
}

// systemd is told when the server is ready, reloads and stops (sd_notify(3)).
func TestSystemdIsTold(t *testing.T) {
	in := install(t, "")
	socket := filepath.Join(in.dir, "notify.sock")
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer systemd.Close()
	said := new(transcript)
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := systemd.Read(buf)
			if err != nil {
				return
			}
			fmt.Fprintf(said, "%s\n", buf[:n])
		}
	}()
	in.environment = []string{"NOTIFY_SOCKET=" + socket}
	in.start()
	in.await("READY", func() bool { return said.String() == "READY=1\n" })
	in.hupTimes(1)
	in.await("RELOADING", func() bool {
		return strings.HasPrefix(said.String(), "READY=1\nRELOADING=1\nMONOTONIC_USEC=") && strings.HasSuffix(said.String(), "\nREADY=1\n")
	})
	in.stop()
	in.await("STOPPING", func() bool { return strings.HasSuffix(said.String(), "\nSTOPPING=1\n") })
}
