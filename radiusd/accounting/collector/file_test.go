package collector

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"countersign/radiusd/accounting"
	"countersign/radiusd/packet"
)

// toFile is a running Collector of a file in a folder of the test's.
func toFile(t *testing.T, s *store, f File) *kit {
	t.Helper()
	if _, ok := s.cursors["billing"]; !ok {
		s.cursors["billing"] = accounting.Position{}
	}
	return newKit(t, s, Options{File: &f}).start()
}

// linesOf are the records in files, one after the other.
func linesOf(t *testing.T, paths ...string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for text := range bytes.Lines(text) {
			var l map[string]any
			if err := json.Unmarshal(text, &l); err != nil {
				t.Fatalf("%s: %.100q: %v", path, text, err)
			}
			all = append(all, l)
		}
	}
	return all
}

// verifyLines verifies that lines are the records of the queue, in order.
func verifyLines(t *testing.T, s *store, lines []map[string]any) {
	t.Helper()
	if len(lines) != len(s.entries) {
		t.Fatalf("%d lines of %d records", len(lines), len(s.entries))
	}
	for i, l := range lines {
		if want := s.entries[i].Position.String(); l["record"] != want {
			t.Fatalf("record %v is in the place of %v", l["record"], want)
		}
	}
}

func TestLines(t *testing.T) {
	s := newStore()
	at := time.Date(2026, 3, 31, 14, 30, 0, 123456789, time.FixedZone("CEST", 2*60*60))
	s.append(accounting.Entry{At: at, NAS: "vpn", Source: "192.0.2.7", Attributes: slices.Concat(
		number(packet.AcctStatusType, 2), attribute(packet.AcctSessionID, []byte("5f\"<1>")), attribute(packet.UserName, []byte("al\xffce")),
		number(packet.AcctDelayTime, 10), attribute(packet.NASIPAddress, []byte{192, 0, 2, 9}), attribute(packet.NASIdentifier, []byte("gw1")),
		number(packet.NASPort, 17), attribute(packet.CallingStationID, []byte("198.51.100.3")), attribute(packet.FramedIPAddress, []byte{10, 0, 0, 5}),
		number(packet.AcctSessionTime, 3600), number(packet.AcctInputOctets, 5), number(packet.AcctInputGigawords, 2), number(packet.AcctTerminateCause, 1),
	)})
	s.append(accounting.Entry{At: at, NAS: "lab", Source: "2001:db8::7", Attributes: number(packet.AcctStatusType, 77)})
	path := filepath.Join(t.TempDir(), "accounting.jsonl")
	k := toFile(t, s, File{Path: path})
	k.untilDone()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"received":"2026-03-31T12:30:00.123456789Z","occurred":"2026-03-31T12:29:50.123456789Z","nas":"vpn","source":"192.0.2.7","record":"1-0","status":"Stop",` +
		`"session_id":"5f\"<1>","user":"al\ufffdce","nas_address":"192.0.2.9","nas_identifier":"gw1","nas_port":"17","station":"198.51.100.3","address":"10.0.0.5",` +
		`"session_seconds":3600,"input_octets":8589934597,"output_octets":0,"input_packets":0,"output_packets":0,"terminate_cause":"User-Request",` +
		`"attributes":"KAYAAAACLAg1ZiI8MT4BB2Fs/2NlKQYAAAAKBAbAAAIJIAVndzEFBgAAABEfDjE5OC41MS4xMDAuMwgGCgAABS4GAAAOECoGAAAABTQGAAAAAjEGAAAAAQ=="}` + "\n" +
		`{"received":"2026-03-31T12:30:00.123456789Z","occurred":"2026-03-31T12:30:00.123456789Z","nas":"lab","source":"2001:db8::7","record":"1-1","status":"77","attributes":"KAYAAABN"}` + "\n"
	if string(got) != want {
		t.Errorf("%s instead of\n%s", got, want)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != fileMode {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

func TestRotation(t *testing.T) {
	s, folder := newStore(), t.TempDir()
	s.fill(at, 8000, 10) // of 340 octets
	path := filepath.Join(folder, "accounting.jsonl")
	if err := os.WriteFile(path, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil { // whatever the umask is
		t.Fatal(err)
	}
	k := toFile(t, s, File{Path: path, MaxSize: 1})
	k.untilDone()
	k.stop()
	older, _ := filepath.Glob(filepath.Join(folder, "accounting-*.jsonl"))
	verifyLines(t, s, linesOf(t, append(older, path)...))
	if len(older) < 2 {
		t.Errorf("there are %d older files", len(older))
	}
	for _, name := range append(older, path) {
		if info, err := os.Stat(name); err != nil || info.Size() > mebibyte || info.Mode() != 0o640 {
			t.Errorf("%s: %d octets, %v, %v", name, info.Size(), info.Mode(), err)
		}
	}
	s.fill(at, 4000, 10)
	k = toFile(t, s, File{Path: path, MaxSize: 1, Keep: 1})
	k.untilDone()
	k.until("the oldest are gone", func() bool {
		older, _ = filepath.Glob(filepath.Join(folder, "accounting-*.jsonl"))
		return len(older) == 1
	})
}

// A line that a crash has left without an end is told from the next.
func TestTornLine(t *testing.T) {
	s := newStore()
	s.fill(at, 10, 1)
	path := filepath.Join(t.TempDir(), "accounting.jsonl")
	if err := os.WriteFile(path, []byte("{\"received\":\n{\"rec"), 0o600); err != nil {
		t.Fatal(err)
	}
	toFile(t, s, File{Path: path}).untilDone()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rest, ok := strings.CutPrefix(string(text), "{\"received\":\n{\"rec\n")
	if lines := strings.Split(rest, "\n"); !ok || len(lines) != 11 || !json.Valid([]byte(lines[0])) {
		t.Errorf("%.200s", text)
	}
}

// Others may move the file away, or remove it, and the folder too.
func TestFileMoved(t *testing.T) {
	s, folder := newStore(), filepath.Join(t.TempDir(), "log")
	path, moved := filepath.Join(folder, "accounting.jsonl"), filepath.Join(folder, "accounting.jsonl.1")
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(os.Mkdir(folder, 0o700))
	s.fill(at, 10, 1)
	k := toFile(t, s, File{Path: path})
	k.untilDone()
	do(os.Rename(path, moved))
	s.fill(at, 10, 1)
	k.Wake()
	k.untilDone()
	verifyLines(t, s, linesOf(t, moved, path))

	do(os.RemoveAll(folder))
	s.fill(at, 10, 1)
	k.Wake()
	k.until("the fault is told", func() bool { return strings.Contains(k.state().Fault, "make the folder, or mount its disk") })
	if k.state().Waiting != 10 {
		t.Errorf("%+v", k.state())
	}
	do(os.Mkdir(folder, 0o700))
	k.untilDone()
	if n := len(linesOf(t, path)); n != 10 || k.state().Fault != "" {
		t.Errorf("%d lines: %+v", n, k.state())
	}
	do(os.Remove(path))
	do(os.Mkdir(path, 0o700))
	s.fill(at, 1, 1)
	k.Wake()
	k.until("the fault is told", func() bool { return strings.Contains(k.state().Fault, "no regular file") })
}

// TestNotOnDisk: records are not done before their lines are on the disk, wherever these are
// when the file was renamed meanwhile.
func TestNotOnDisk(t *testing.T) {
	s, folder := newStore(), t.TempDir()
	s.fill(at, 10, 1)
	path := filepath.Join(folder, "accounting.jsonl")
	k := newKit(t, s, Options{File: &File{Path: path}})
	f := k.Collector.sink.(*file)
	batch := make([]*item, 10)
	for i := range batch {
		batch[i] = &item{Entry: s.entries[i]}
	}
	for fails, want := range []string{path, path, folder} {
		n := 0
		f.fsync = func(synced *os.File) error {
			if n++; n <= fails {
				return nil
			}
			if synced.Name() != want {
				t.Errorf("%s is on the disk, not %s", synced.Name(), want)
			}
			return syscall.EIO
		}
		if done, err := f.deliver(t.Context(), batch); done != 0 || !errors.Is(err, syscall.EIO) {
			t.Errorf("%d records are done, %v", done, err)
		}
	}
	lines := 0
	f.fsync = func(synced *os.File) error {
		if synced.Name() == path {
			lines = len(linesOf(t, path))
		}
		return nil
	}
	if done, err := f.deliver(t.Context(), batch); done != 10 || err != nil || lines != 40 {
		t.Errorf("%d records are done with %d lines on the disk, %v", done, lines, err)
	}
}

// TestDiskFull runs itself with a mount table of its own.
func TestDiskFull(t *testing.T) {
	if folder := os.Getenv("COLLECTOR_DISK"); folder != "" {
		fillDisk(t, folder)
		return
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := exec.Command(program, "-test.run=^TestDiskFull$", "-test.timeout=2m")
	run.Env = append(os.Environ(), "COLLECTOR_DISK="+t.TempDir())
	run.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if out, err := run.CombinedOutput(); err != nil {
		t.Fatalf("%v (it mounts a file system, which only root can)\n%s", err, out)
	}
}

// fillDisk is TestDiskFull on a small disk of its own.
func fillDisk(t *testing.T, folder string) {
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=256k"))
	t.Cleanup(func() { _ = syscall.Unmount(folder, 0) })
	ballast, path := filepath.Join(folder, "ballast"), filepath.Join(folder, "accounting.jsonl")
	do(os.WriteFile(ballast, make([]byte, 200<<10), 0o600))
	s := newStore()
	s.fill(at, 500, 5)
	k := toFile(t, s, File{Path: path})
	k.until("the fault is told", func() bool { return strings.Contains(k.state().Fault, "no space left on device") })
	if st := k.state(); st.Waiting == 0 || st.Waiting == 500 {
		t.Errorf("what was written in full is not done: %+v", st)
	}
	do(os.Remove(ballast))
	k.untilDone()
	k.stop()
	text, err := os.ReadFile(path)
	do(err)
	var whole []byte
	torn := 0
	for l := range bytes.Lines(text) {
		if json.Valid(l) {
			whole = append(whole, l...)
		} else {
			torn++
		}
	}
	if torn > 1 {
		t.Errorf("%d lines are torn", torn)
	}
	clean := filepath.Join(t.TempDir(), "clean")
	do(os.WriteFile(clean, whole, 0o600))
	verifyLines(t, s, linesOf(t, clean))
}
