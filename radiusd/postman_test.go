package radiusd

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// drawer is a connection whose sendmmsg is played by the test.
type drawer struct{}

func (drawer) Control(func(uintptr)) error   { return nil }
func (drawer) Read(func(uintptr) bool) error { return nil }
func (drawer) Write(write func(uintptr) bool) error {
	write(0)
	return nil
}

// mail is a postman whose messages the test takes: kernel decides how many of
// them are taken, and with which error.
type mail struct {
	*postman
	messages []string // port, number of datagrams, first octet of each
	lost     []error
	kernel   func(segments []int) (taken int, err error)
}

func newMail(kernel func(segments []int) (int, error)) *mail {
	m := &mail{kernel: kernel}
	m.postman = newPostman(&socket{raw: drawer{}}, func(_ *peer, err error) { m.lost = append(m.lost, err) })
	m.postman.write = func(uintptr) bool {
		headers := m.headers[m.sent:len(m.groups)]
		var segments []int
		for i := range headers {
			segments = append(segments, int(headers[i].Hdr.Iovlen))
		}
		m.n, m.postman.err = m.kernel(segments)
		for i := range m.n {
			m.messages = append(m.messages, describe(&headers[i].Hdr))
		}
		return true
	}
	return m
}

func describe(h *unix.Msghdr) string {
	to := (*peer)(unsafe.Pointer(h.Name))
	text := fmt.Sprintf("%d:", to.port())
	for _, v := range unsafe.Slice(h.Iov, h.Iovlen) {
		text += string(rune(*v.Base))
	}
	if h.Controllen > 0 {
		text += "+"
	}
	return text
}

// letter is a reply to a port, of a length, that starts with a letter.
func letter(port uint16, length int, first byte) outgoing {
	reply := make([]byte, length)
	reply[0] = first
	return outgoing{newPeer(netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), port)), reply}
}

func takeAll(segments []int) (int, error) { return len(segments), nil }

func TestRepliesOfOneLengthToOnePeerGoTogether(t *testing.T) {
	m := newMail(takeAll)
	m.send([]outgoing{
		letter(1, 40, 'a'), letter(2, 40, 'b'), letter(1, 40, 'c'), letter(1, 41, 'd'), letter(2, 40, 'e'),
		letter(1, 40, 'f'), letter(3, 40, 'g'), letter(3, 2000, 'h'), letter(3, 2000, 'i'),
		letter(1, 40+groupTable, 'j'), // has the hash of the first
	})
	want := []string{"1:acf+", "2:be+", "1:d", "3:g", "3:h", "3:i", "1:j"}
	if !slices.Equal(m.messages, want) {
		t.Errorf("messages %q, want %q", m.messages, want)
	}
	m.messages = nil
	m.send([]outgoing{letter(7, 40, 'x')}) // nothing is left of the batch before
	if !slices.Equal(m.messages, []string{"7:x"}) {
		t.Errorf("messages %q", m.messages)
	}
}

func TestManyPeersInOneBatch(t *testing.T) {
	m := newMail(takeAll)
	var all []outgoing
	want := map[string]bool{}
	for i := range batchSize / 2 { // all of one hash
		all = append(all, letter(uint16(256*i+5), 40, 'a'))
		want[fmt.Sprintf("%d:aa+", 256*i+5)] = true
	}
	m.send(slices.Concat(all, all))
	got := map[string]bool{}
	for _, text := range m.messages {
		got[text] = true
	}
	if !maps.Equal(got, want) {
		t.Errorf("messages %q", m.messages)
	}
}

func TestCuttingIsGivenUpWhenTheKernelCannot(t *testing.T) {
	for _, errno := range []error{unix.EIO, unix.EINVAL, unix.ENOPROTOOPT} {
		m := newMail(func(segments []int) (int, error) {
			for i, n := range segments {
				if n > 1 && i == 0 {
					return 0, errno
				} else if n > 1 {
					return i, nil
				}
			}
			return len(segments), nil
		})
		batch := []outgoing{letter(9, 40, 'z'), letter(1, 40, 'a'), letter(2, 40, 'b'), letter(1, 40, 'c'), letter(2, 40, 'd')}
		m.send(batch)
		want := []string{"9:z", "1:a", "1:c", "2:b", "2:d"}
		if !slices.Equal(m.messages, want) || len(m.lost) != 0 {
			t.Errorf("%v: messages %q, want %q; lost %v", errno, m.messages, want, m.lost)
		}
		m.messages = nil
		m.send(batch[1:])
		if want := []string{"1:a", "2:b", "1:c", "2:d"}; !slices.Equal(m.messages, want) {
			t.Errorf("%v: later messages %q, want %q", errno, m.messages, want)
		}
	}
}

func TestAReplyThatCannotBeSentIsSkipped(t *testing.T) {
	calls := 0
	m := newMail(func(segments []int) (int, error) {
		calls++
		if calls == 2 {
			return 0, unix.EPERM
		}
		return 1, nil
	})
	m.send([]outgoing{letter(1, 40, 'a'), letter(2, 40, 'b'), letter(3, 40, 'c')})
	if want := []string{"1:a", "3:c"}; !slices.Equal(m.messages, want) || len(m.lost) != 1 {
		t.Errorf("messages %q, want %q; lost %v", m.messages, want, m.lost)
	}
}

func TestTheOutboxFlushesWhenFull(t *testing.T) {
	var kept tray
	o := newOutbox(&kept)
	to := newPeer(netip.MustParseAddrPort(gateway))
	for i := range 1000 {
		reply := o.room()
		if cap(reply) < 4096 {
			t.Fatalf("room for %d octets", cap(reply))
		}
		o.add(&to, append(reply, make([]byte, 20+i*4)...))
	}
	o.flush()
	for i, r := range kept.replies {
		if len(r.reply) != 20+i*4 {
			t.Fatalf("reply %d has %d octets", i, len(r.reply))
		}
	}
	if len(kept.replies) != 1000 {
		t.Errorf("%d replies", len(kept.replies))
	}
}
