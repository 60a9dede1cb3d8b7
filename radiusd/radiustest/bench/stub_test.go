package main

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// TestMain lets the test's own program stand in for countersign: with a
// configuration it is a server that accepts everybody whose name was imported.
func TestMain(m *testing.M) {
	if len(os.Args) > 3 && os.Args[1] == "--config" {
		if err := stub(os.Args[2], os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// stub is the commands of countersign that the bench uses.
func stub(config string, command []string) error {
	users := filepath.Join(filepath.Dir(config), "data")
	if command[0] == "store" {
		return nil
	}
	if command[0] == "user" {
		text, err := os.ReadFile(command[2])
		if err != nil {
			return err
		}
		return os.WriteFile(users, text, 0o600)
	}
	text, err := os.ReadFile(users)
	if err != nil {
		return err
	}
	known := make(map[string]bool)
	for line := range strings.Lines(string(text)) {
		name, _, _ := strings.Cut(line, ",")
		known[name] = true
	}
	settings, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	return serveStub(regexp.MustCompile(`auth = \["(.*)"\]`).FindStringSubmatch(string(settings))[1], known)
}

func serveStub(address string, known map[string]bool) error {
	conn, err := net.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() { <-stop; conn.Close() }()
	b := make([]byte, 4096)
	for {
		n, from, err := conn.ReadFrom(b)
		if err != nil {
			return nil
		}
		// The User-Name follows a Message-Authenticator of 18 bytes.
		code := byte(3)
		if n > 40 && known[string(b[40:38+int(b[39])])] {
			code = 2
		}
		reply := append([]byte{code, b[1], 0, 20}, b[4:20]...)
		binary.BigEndian.PutUint16(reply[2:], uint16(len(reply)))
		sum := md5.Sum(append(bytes.Clone(reply), sharedSecret...))
		copy(reply[4:], sum[:])
		if _, err := conn.WriteTo(reply, from); err != nil {
			return err
		}
	}
}
