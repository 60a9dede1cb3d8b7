package postgrestest

import (
	"sync"
	"testing"
)

// shared is the server that the tests of a binary share.
var shared struct {
	sync.Mutex
	server *Server
	err    error
}

// Shared is one server for all tests of the binary, started by the first that asks. It is
// not to be killed. Main ends it.
func Shared(t testing.TB) *Server {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil && shared.err == nil {
		shared.server, shared.err = launch(Options{Settings: map[string]string{"max_connections": "200"}})
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server
}

// Main runs tests and ends the server they shared. A package whose tests call Shared has
//
//	func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m.Run)) }
func Main(run func() int) int {
	defer func() {
		shared.Lock()
		defer shared.Unlock()
		if shared.server != nil {
			shared.server.remove()
			shared.server = nil
		}
	}()
	return run()
}
