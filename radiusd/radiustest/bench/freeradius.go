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
	// accounting is the module that keeps accounting, detail or sql; it takes none when "".
	accounting string
}

func (f freeRADIUS) name() string {
	if f.accounting != "" {
		return "FreeRADIUS " + f.accounting
	}
	return "FreeRADIUS"
}

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
%[5]s}
instantiate {
  %[7]s
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
%[6]s}
`, dir, f.cleanupDelay, sharedSecret, port, f.accountingModule(dir), f.accountingSections(port), f.functions())
	return err
}

// accountingModule is the module that keeps accounting, with the settings and queries that
// Debian installs: the file of detail is written but not synced; of sql each record is a
// transaction of its own, and SQLite syncs it.
func (f freeRADIUS) accountingModule(dir string) string {
	switch f.accounting {
	case "detail":
		return fmt.Sprintf("  expr {\n  }\n  detail {\n    filename = %s/detail\n    header = \"%%t\"\n    permissions = 0600\n    locking = no\n  }\n", dir)
	case "sql":
		const queries = "/etc/freeradius/3.0/mods-config/sql/main/sqlite"
		return fmt.Sprintf(`  expr {
  }
  sql {
    driver = "rlm_sql_sqlite"
    dialect = "sqlite"
    sqlite {
      filename = "%[1]s/accounting.db"
      busy_timeout = 200
      bootstrap = "%[2]s/schema.sql"
    }
    radius_db = "radius"
    acct_table1 = "radacct"
    acct_table2 = "radacct"
    postauth_table = "radpostauth"
    authcheck_table = "radcheck"
    groupcheck_table = "radgroupcheck"
    authreply_table = "radreply"
    groupreply_table = "radgroupreply"
    usergroup_table = "radusergroup"
    client_table = "nas"
    delete_stale_sessions = no
    pool {
      start = 1
      min = 1
      max = 1
      spare = 0
      uses = 0
      lifetime = 0
      idle_timeout = 0
    }
    group_attribute = "SQL-Group"
    $INCLUDE %[2]s/queries.conf
  }
`, dir, queries)
	}
	return ""
}

// functions is the module with functions such as md5, which is to be there before others use
// it.
func (f freeRADIUS) functions() string {
	if f.accounting == "" {
		return ""
	}
	return "expr"
}

// accountingSections are the port for accounting, the one after that for logins, and what
// is done there.
func (f freeRADIUS) accountingSections(port uint16) string {
	if f.accounting == "" {
		return ""
	}
	return fmt.Sprintf(`  listen {
    type = acct
    ipaddr = 127.0.0.1
    port = %d
    recv_buff = 4194304
  }
  preacct {
    update request {
      &Acct-Unique-Session-Id := "%%{md5:%%{User-Name},%%{Acct-Session-ID},%%{NAS-IP-Address},%%{NAS-Port}}"
    }
  }
  accounting {
    %s
  }
`, port+1, f.accounting)
}
