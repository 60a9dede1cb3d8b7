package embedded

import (
	"bytes"
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"countersign/otp/seal"
	"countersign/tms/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m, openSmall)) }

// engine is this package as the suite sees it.
var engine = storetest.Engine{
	Place: func(tb testing.TB) string { return filepath.Join(tb.TempDir(), "countersign.db") },
	Open:  openPlace,
}

func openPlace(place string) (storetest.Store, error) {
	o, err := options(place)
	if err != nil {
		return nil, err
	}
	return Open(context.Background(), o)
}

// options are the same in every process: the key too.
func options(path string) (Options, error) {
	kek, err := seal.NewKEK(bytes.NewReader(bytes.Repeat([]byte{7}, 64)))
	if err != nil {
		return Options{}, err
	}
	return Options{
		Path: path, KEKs: []seal.KEK{kek}, Rand: rand.Reader, Clock: func() time.Time { return noon },
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}, nil
}

// openSmall opens a store whose index has many segments.
func openSmall(place string) (storetest.Store, error) {
	o, err := options(place)
	if err != nil {
		return nil, err
	}
	o.history = historyOptions{records: 200, batches: 60}
	return Open(context.Background(), o)
}

func TestSuite(t *testing.T) {
	small := engine
	small.Open, small.Parallel = openSmall, true
	small.Settle = func(s storetest.Store) {
		if err := s.(*Store).tendHistory(t.Context()); err != nil {
			t.Error(err)
		}
	}
	storetest.Run(t, small)
}
