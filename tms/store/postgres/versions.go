package postgres

import (
	"context"
	"time"

	"countersign/tms/store/tables"
)

// Versions tells what is in a database.
type Versions struct {
	// Tables is the version of its tables, 0 when there are none, and Known the newest that
	// this program knows.
	Tables, Known int64
	// By is the version of the program that has made the tables so, "" when there are none.
	By string
	// Used says that there is a store in the tables.
	Used bool
	// Nodes are those that are alive.
	Nodes []NodeVersion
}

// NodeVersion is a node and its program.
type NodeVersion struct {
	Name, Version string
	Known         int64 // the newest version of the tables that it knows
}

// deadTime is for how long a node that is alive may be silent.
const deadTime = 8 * time.Second

// Look reads what is in a database, and changes nothing.
func Look(ctx context.Context, o Options) (Versions, error) {
	v := Versions{Known: schemaVersion}
	d, err := openDatabase(&o)
	if err == nil {
		err = d.with(ctx, d.config(), v.read)
	}
	if err != nil {
		return v, failing("looking at", d, err)
	}
	return v, nil
}

func (v *Versions) read(c *conn) (err error) {
	if v.Tables, err = readVersion(c); err != nil || v.Tables == 0 {
		return err
	}
	if err = c.Query(readBytes, func(r tables.Row) error { v.By = string(r.Blob(0)); return nil }, metaMigratedBy); err != nil {
		return err
	}
	sealed, err := readKeyring(c)
	if err != nil {
		return err
	}
	v.Used = sealed != nil
	v.Nodes, err = livingNodes(c)
	return err
}

// livingNodes are the nodes that are alive, by name.
func livingNodes(c *conn) (nodes []NodeVersion, err error) {
	err = c.Query("SELECT name, version, schema FROM node WHERE seen > "+clockNow+" - ? ORDER BY name LIMIT 1000", func(r tables.Row) error {
		nodes = append(nodes, NodeVersion{r.Text(0), r.Text(1), r.Integer(2)})
		return nil
	}, deadTime.Microseconds())
	return nodes, err
}
