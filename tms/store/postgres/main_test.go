package postgres

import (
	"context"
	"net/url"
	"os"
	"testing"

	"countersign/tms/store/postgrestest"
	"countersign/tms/store/storetest"
)

func TestMain(m *testing.M) {
	os.Exit(postgrestest.Main(func() int { return storetest.Main(m, openPlace) }))
}

// suite is this package as the suite sees it.
func suite(t *testing.T) storetest.Engine {
	server := postgrestest.Shared(t)
	return storetest.Engine{
		Place:    func(tb testing.TB) string { return server.URL(migratedDatabase(tb, server)) },
		Open:     openPlace,
		Parallel: true,
		Settle: func(s storetest.Store) {
			if err := s.(*Store).history.tend(t.Context()); err != nil {
				t.Error(err)
			}
		},
	}
}

// placeOptions are of a place: the address of a database with the password, which another
// process knows too. The index has many segments.
func placeOptions(place string) Options {
	u, err := url.Parse(place)
	if err != nil {
		panic(err)
	}
	password, _ := u.User.Password()
	u.User = url.User(u.User.Username())
	o := testOptions(u.String(), password)
	o.history.Records, o.history.Batches = 200, 60
	return o
}

func openPlace(place string) (storetest.Store, error) {
	s, err := Open(context.Background(), placeOptions(place))
	if err != nil {
		return nil, err
	}
	return s, nil
}

func TestSuite(t *testing.T) { storetest.Run(t, suite(t)) }
