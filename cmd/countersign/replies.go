package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"countersign/conf"
	"countersign/radiusd/packet"
)

// maxReplyOctets is what the attributes of one [[reply]] may come to: a packet has
// 4096 octets (RFC 2865 section 3), some of them for what the server itself says.
// What those that a login meets come to together is seen when it does.
const maxReplyOctets = 3000

// checkReplies finds attributes that nobody knows, values they cannot have, and
// more of them than a packet holds.
func checkReplies(cfg *conf.Config, fault func(key, problem, remedy string)) {
	dictionary, err := loadDictionary(cfg)
	if err != nil {
		problem, remedy := remedied(err, "correct the file, or leave it out")
		fault("radius.dictionaries", problem, remedy)
		return
	}
	for i := range cfg.Replies {
		key := fmt.Sprintf("reply[%d].attributes", i)
		if octets := checkAttributes(dictionary, key, cfg.Replies[i].Attributes, fault); octets > maxReplyOctets {
			fault(key, fmt.Sprintf("they take %d octets of the packet, and %d fit", octets, maxReplyOctets), "leave some out")
		}
	}
}

// checkAttributes finds what is wrong with attributes, and how many octets the
// others take.
func checkAttributes(dictionary *packet.Dictionary, key string, attributes []conf.Attribute, fault func(key, problem, remedy string)) (octets int) {
	for _, a := range attributes {
		for j, value := range a.Values {
			encoded, err := dictionary.Encode(a.Name, value)
			if err != nil && a.Name != "" && value != "" {
				problem, remedy := remedied(err, "write another value")
				if errors.Is(err, packet.ErrNoAttribute) {
					remedy += " (files in radius.dictionaries add others)"
				}
				fault(fmt.Sprintf("%s.%s[%d]", key, a.Name, j), problem, remedy)
			}
			octets += len(encoded)
		}
	}
	return octets
}

// remedied takes apart an error that says behind its last semicolon how to mend
// it. One that does not gets the remedy otherwise.
func remedied(err error, otherwise string) (problem, remedy string) {
	text := err.Error()
	if i := strings.LastIndex(text, "; "); i >= 0 {
		return text[:i], text[i+len("; "):]
	}
	return text, otherwise
}

// loadDictionary is the built-in dictionary with the files of the configuration.
func loadDictionary(cfg *conf.Config) (*packet.Dictionary, error) {
	d := packet.NewDictionary()
	open := func(path string) (io.ReadCloser, error) { return os.Open(path) }
	for _, path := range cfg.Radius.Dictionaries {
		if err := d.Load(path, open); err != nil {
			return nil, err
		}
	}
	return d, nil
}
