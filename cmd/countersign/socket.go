package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"countersign/tms"
)

// listenAdmin opens the admin socket with mode 0600. A socket that a killed
// server left behind is removed: the store's lock has told that none runs.
func listenAdmin(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("removing the old admin socket: %w", err)
	}
	// The mode must be right from the start, not a moment later.
	old := syscall.Umask(0o177)
	l, err := net.Listen("unix", path)
	syscall.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("opening the admin socket: %w", err)
	}
	return l, nil
}

type callerKey struct{}

// withCaller is an http.Server.ConnContext that notes who is on the other end.
func withCaller(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, callerKey{}, peer(conn))
}

// peer is the account at the other end of a Unix socket. Only root and the
// server's own account may do anything, whatever the file's mode has become.
func peer(conn net.Conn) tms.Caller {
	unix, ok := conn.(*net.UnixConn)
	if !ok {
		return tms.Caller{Name: "unknown"}
	}
	raw, err := unix.SyscallConn()
	if err != nil {
		return tms.Caller{Name: "unknown"}
	}
	var cred *syscall.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil || credErr != nil {
		return tms.Caller{Name: "unknown"}
	}
	name := strconv.Itoa(int(cred.Uid))
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	return tms.Caller{Name: name + "@socket", Administrator: cred.Uid == 0 || int(cred.Uid) == os.Getuid()}
}

// callerOf is what withCaller noted.
func callerOf(r *http.Request) tms.Caller {
	c, _ := r.Context().Value(callerKey{}).(tms.Caller)
	return c
}
