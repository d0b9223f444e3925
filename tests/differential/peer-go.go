// SPDX-License-Identifier: Apache-2.0

// How Go's net/http reads streams of requests.  In: u32 size of a batch, then
// u32 size and bytes of each stream; out: a line each (reading.h).
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"os"
	"strings"
)

func crc(s string) uint32 { return crc32.ChecksumIEEE([]byte(s)) }

func short(err error) string {
	s := strings.ReplaceAll(err.Error(), " ", "_")
	if i := strings.IndexByte(s, '"'); i > 0 {
		s = s[:i]
	}
	return strings.ToValidUTF8(s, "?")
}

func read(stream []byte, out *bytes.Buffer) {
	var messages strings.Builder
	end, reason := ".", "-"
	r := bufio.NewReaderSize(bytes.NewReader(stream), 32768)
	for {
		// A server skips nothing before a request line, nor do we.
		if _, err := r.Peek(1); err != nil {
			break
		}
		q, err := http.ReadRequest(r)
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			end = "H"
			break
		}
		if err != nil {
			end, reason = "E", short(err)
			break
		}
		body, err := io.ReadAll(q.Body)
		fmt.Fprintf(&messages, " %x,%x,%x,%d,%x", crc(q.Method), crc(q.RequestURI), crc(q.Host),
			len(body), crc32.ChecksumIEEE(body))
		// The last is what it says, too, when the stream ends in trailers.
		if err != nil && (strings.Contains(err.Error(), "unexpected EOF") ||
			strings.Contains(err.Error(), "suspiciously long trailer")) {
			end = "B"
			break
		}
		if err != nil {
			end, reason = "F", short(err)
			break
		}
		if q.Close {
			end = "C"
			break
		}
	}
	fmt.Fprintf(out, "%s %s%s\n", end, reason, messages.String())
}

func readResponse(stream []byte, out *bytes.Buffer) {
	var messages strings.Builder
	end, reason := "C", "-"
	method := "GET"
	if stream[0] == 'H' {
		method = "HEAD"
	}
	r := bufio.NewReaderSize(bytes.NewReader(stream[1:]), 32768)
	for {
		a, err := http.ReadResponse(r, &http.Request{Method: method})
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			end = "H"
			break
		}
		if err != nil {
			end, reason = "E", short(err)
			break
		}
		if a.StatusCode < 200 {
			fmt.Fprintf(&messages, " %x,0,0,0,0", a.StatusCode)
			continue
		}
		body, err := io.ReadAll(a.Body)
		fmt.Fprintf(&messages, " %x,0,0,%d,%x", a.StatusCode, len(body), crc32.ChecksumIEEE(body))
		if err != nil && (strings.Contains(err.Error(), "unexpected EOF") ||
			strings.Contains(err.Error(), "suspiciously long trailer")) {
			end = "B"
		} else if err != nil {
			end, reason = "F", short(err)
		}
		break
	}
	fmt.Fprintf(out, "%s %s%s\n", end, reason, messages.String())
}

func main() {
	one := read
	if len(os.Args) > 1 && os.Args[1] == "response" {
		one = readResponse
	}
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	var size [4]byte
	for {
		if _, err := io.ReadFull(in, size[:]); err != nil {
			return
		}
		batch := make([]byte, binary.LittleEndian.Uint32(size[:]))
		if _, err := io.ReadFull(in, batch); err != nil {
			return
		}
		var out bytes.Buffer
		for len(batch) > 0 {
			n := binary.LittleEndian.Uint32(batch)
			one(batch[4:4+n], &out)
			batch = batch[4+n:]
		}
		os.Stdout.Write(out.Bytes())
	}
}
