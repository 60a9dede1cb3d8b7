package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"countersign/radiusd/radiustest"
)

// freeRADIUS is Debian's FreeRADIUS 3 as a private instance.
type freeRADIUS struct {
	binary       string
	cleanupDelay int // seconds a reply is kept for repeated requests
}

func (freeRADIUS) name() string { return "FreeRADIUS" }

func (freeRADIUS) steps() radiustest.Steps { return radiustest.Steps{Reuse: true} }

// findFreeRADIUS returns the path of the server's program.
func findFreeRADIUS() (string, error) {
	path, err := exec.LookPath("freeradius")
	if err != nil { // only root has it in its PATH
		path, err = exec.LookPath("/usr/sbin/freeradius")
	}
	if err != nil {
		return "", fmt.Errorf("FreeRADIUS is not installed (apt-get install freeradius, or take -only countersign): %w", err)
	}
	return path, nil
}

func (freeRADIUS) stock(_ context.Context, dir string, users population) error {
	return users.writeFile(filepath.Join(dir, "users"), "", filesLine)
}

func (f freeRADIUS) command(dir string, port uint16) ([]string, error) {
	file, err := os.OpenFile(filepath.Join(dir, "radiusd.conf"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if err := f.configure(file, dir, port); err != nil {
		return nil, err
	}
	return []string{f.binary, "-f", "-s", "-d", dir, "-n", "radiusd"}, file.Close()
}

// configure writes radiusd.conf. The user's line in the file users has the PIN
// in Tmp-String-0 and the seed in TOTP-Secret. max_requests is all replies
// that 256 source ports with 256 identifiers each can leave to be kept.
func (f freeRADIUS) configure(w io.Writer, dir string, port uint16) error {
	_, err := fmt.Fprintf(w, `prefix = /usr
libdir = /usr/lib/freeradius
logdir = %[1]s
run_dir = %[1]s
max_requests = 131072
max_request_time = 30
cleanup_delay = %[2]d
log {
  destination = stdout
  auth = no
}
security {
  reject_delay = 0
  status_server = no
}
proxy_requests = no
client bench {
  ipaddr = 127.0.0.1
  secret = "%[3]s"
  require_message_authenticator = yes
}
modules {
  files {
    filename = %[1]s/users
  }
  totp {
  }
}
server default {
  listen {
    type = auth
    ipaddr = 127.0.0.1
    port = %[4]d
    recv_buff = 4194304
  }
  authorize {
    if (&User-Password =~ /^(....)(......)$/) {
      files
      if (&control:Tmp-String-0 == "%%{1}") {
        update {
          &request:TOTP-Password := "%%{2}"
          &control:Auth-Type := totp
        }
      }
    }
  }
  authenticate {
    totp
  }
}
`, dir, f.cleanupDelay, sharedSecret, port)
	return err
}
