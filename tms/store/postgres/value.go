package postgres

import (
	"bytes"
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"countersign/tms"
)

// The types of PostgreSQL that are met, by their numbers in pg_type.
const (
	oidBool    = 16
	oidBytea   = 17
	oidName    = 19
	oidInt8    = 20
	oidInt2    = 21
	oidInt4    = 23
	oidText    = 25
	oidJSON    = 114
	oidVarchar = 1043
	oidNumeric = 1700
)

const (
	textFormat   = 0
	binaryFormat = 1
)

// format is how a type is sent: numbers and bytes as they are, the rest as text.
func format(oid uint32) int16 {
	switch oid {
	case oidBool, oidBytea, oidInt2, oidInt4, oidInt8:
		return binaryFormat
	}
	return textFormat
}

// encode is an argument as a parameter of this type.
func encode(oid uint32, v driver.Value) (value []byte, as int16, err error) {
	as = format(oid)
	switch v := v.(type) {
	case nil:
		return nil, as, nil
	case int64:
		value, err = encodeInteger(oid, v)
	case bool:
		n := int64(0)
		if v {
			n = 1
		}
		value, err = encodeInteger(oid, n)
	case string:
		value, err = encodeText(oid, v)
	case []byte:
		if v == nil {
			return nil, as, nil
		}
		if oid != oidBytea {
			value, err = encodeText(oid, string(v))
		} else {
			value = bytes.Clone(v) // for it may wait
		}
		if value == nil {
			value = []byte{}
		}
	default:
		err = fmt.Errorf("a %T cannot be sent to the database", v)
	}
	return value, as, err
}

func encodeInteger(oid uint32, n int64) ([]byte, error) {
	switch oid {
	case oidInt8:
		return binary.BigEndian.AppendUint64(nil, uint64(n)), nil
	case oidInt4:
		if int64(int32(n)) != n {
			return nil, fmt.Errorf("%d does not fit into 32 bits", n)
		}
		return binary.BigEndian.AppendUint32(nil, uint32(n)), nil
	case oidInt2:
		if int64(int16(n)) != n {
			return nil, fmt.Errorf("%d does not fit into 16 bits", n)
		}
		return binary.BigEndian.AppendUint16(nil, uint16(n)), nil
	case oidBool:
		return []byte{byte(min(n, 1))}, nil
	case oidBytea:
		return nil, fmt.Errorf("a number where bytes are due")
	}
	return strconv.AppendInt(nil, n, 10), nil
}

func encodeText(oid uint32, s string) ([]byte, error) {
	switch oid {
	case oidBytea:
		return append([]byte{}, s...), nil
	case oidInt2, oidInt4, oidInt8, oidBool:
		return nil, fmt.Errorf("a text of %d bytes where a number is due", len(s))
	}
	if notText(s) {
		return nil, fmt.Errorf("%w: %q is no text that the database can keep: it has a byte 0, or is not UTF-8", tms.ErrInvalid, s)
	}
	return append([]byte{}, s...), nil
}

// notText reports whether the database takes this for no text.
func notText(s string) bool { return strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s) }

// decode is a value of this type as a row has it: int64, string, []byte or nil.
func decode(oid uint32, b []byte) (driver.Value, error) {
	if b == nil {
		return nil, nil
	}
	wrong := func(size int) error { return fmt.Errorf("%d bytes where there should be %d", len(b), size) }
	switch oid {
	case oidInt8:
		if len(b) != 8 {
			return nil, wrong(8)
		}
		return int64(binary.BigEndian.Uint64(b)), nil
	case oidInt4:
		if len(b) != 4 {
			return nil, wrong(4)
		}
		return int64(int32(binary.BigEndian.Uint32(b))), nil
	case oidInt2:
		if len(b) != 2 {
			return nil, wrong(2)
		}
		return int64(int16(binary.BigEndian.Uint16(b))), nil
	case oidBool:
		if len(b) != 1 {
			return nil, wrong(1)
		}
		return int64(b[0]), nil
	case oidBytea:
		return append([]byte{}, b...), nil
	case oidNumeric: // a sum
		return strconv.ParseInt(string(b), 10, 64)
	}
	return string(b), nil
}
