// SPDX-License-Identifier: Apache-2.0

// Go's net/http client against the URL in argument 1; a line of TAP without its
// number for each check.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

func pattern(n int) []byte {
	return []byte(strings.Repeat("abcdefghijklmnopqrstuvwxyz", n/26+1))[:n]
}

func check(text string, isTrue bool) {
	ok := "ok"
	if !isTrue {
		ok = "not ok"
	}
	fmt.Printf("%s - net/http: %s\n", ok, text)
}

func main() {
	url := os.Args[1]
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		MaxIdleConnsPerHost: 100, ExpectContinueTimeout: 5 * time.Second}}
	do := func(method, path string, body io.Reader, header ...string) (int, []byte, error) {
		q, _ := http.NewRequest(method, url+path, body)
		for i := 0; i+1 < len(header); i += 2 {
			q.Header.Set(header[i], header[i+1])
		}
		r, err := client.Do(q)
		if err != nil {
			return 0, nil, err
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		return r.StatusCode, b, err
	}
	got := func(n int, method, path string, body io.Reader, header ...string) bool {
		status, b, err := do(method, path, body, header...)
		return err == nil && status == 200 && bytes.Equal(b, pattern(n))
	}
	right := 0
	for i := 0; i < 500; i++ {
		if got(1000, "GET", "/bytes/1000", nil) {
			right++
		}
	}
	check("500 requests, one after the other", right == 500)
	var group sync.WaitGroup
	var lock sync.Mutex
	right = 0
	for i := 0; i < 100; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for k := 0; k < 20; k++ {
				if got(5000, "GET", "/bytes/5000/chunked", nil) {
					lock.Lock()
					right++
					lock.Unlock()
				}
			}
		}()
	}
	group.Wait()
	check("2000 requests, 100 at once", right == 2000)
	said := func(chunked bool, method string, body io.Reader, header ...string) bool {
		_, b, err := do(method, "/", body, header...)
		return err == nil && strings.Contains(string(b), fmt.Sprintf(
			`"body_bytes":70000,"body_is_chunked":%v,"body_is_pattern":true`, chunked))
	}
	check("a body with a length", said(false, "POST", bytes.NewReader(pattern(70000))))
	check("a body in chunks", said(true, "POST", io.MultiReader(bytes.NewReader(pattern(70000)))))
	check("Expect: 100-continue", said(false, "PUT", bytes.NewReader(pattern(70000)), "Expect", "100-continue"))
	check("until the end of the connection", got(100000, "GET", "/bytes/100000/eof", nil))
	check("HEAD", got(0, "HEAD", "/bytes/1000", nil))
	_, _, err := do("GET", "/bytes/100000/truncate", nil)
	check("a response cut short is an error", err != nil)
}
