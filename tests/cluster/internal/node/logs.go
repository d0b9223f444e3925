// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"

	criapi "k8s.io/cri-api/pkg/apis"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-client/pkg/logs"
)

// logFile is a container's log in the CRI format, "<RFC3339Nano time> <stream> F <line>", so that kubelet's own reader
// serves follow, tail, since and timestamps.
type logFile struct {
	mu      sync.Mutex
	f       *os.File
	streams []*logStream
}

func openLog(path string) (*logFile, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	return &logFile{f: f}, err
}

// Close writes last lines that lack a newline.
func (l *logFile) Close() error {
	for _, s := range l.streams {
		if len(s.part) > 0 {
			_, _ = s.Write([]byte("\n"))
		}
	}
	return l.f.Close()
}

func (l *logFile) stream(name string) io.Writer {
	s := &logStream{file: l, name: name}
	l.streams = append(l.streams, s)
	return s
}

// logStream cuts what a program writes into lines; a part without newline waits for the rest.
type logStream struct {
	file *logFile
	name string
	part []byte
}

func (s *logStream) Write(p []byte) (int, error) {
	now := time.Now().UTC().Format(time.RFC3339Nano)
	s.part = append(s.part, p...)
	var out bytes.Buffer
	for {
		i := bytes.IndexByte(s.part, '\n')
		if i < 0 {
			break
		}
		fmt.Fprintf(&out, "%s %s F %s\n", now, s.name, s.part[:i])
		s.part = s.part[i+1:]
	}
	s.file.mu.Lock()
	defer s.file.mu.Unlock()
	_, err := s.file.f.Write(out.Bytes())
	return len(p), err
}

// serveLogs is GET /containerLogs/{namespace}/{pod}/{container}.
func (n *node) serveLogs(rw http.ResponseWriter, r *http.Request) {
	c, err := n.find(r.PathValue("namespace"), r.PathValue("pod"), r.PathValue("container"))
	if err != nil {
		http.Error(rw, err.Error(), http.StatusNotFound)
		return
	}
	options, err := logOptions(r.URL.Query())
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	run, alive := c.restarts, c.state.Running != nil
	c.mu.Unlock()
	if r.URL.Query().Get("previous") == "true" || (!alive && run > 0) {
		run--
	}
	path := c.logPathOf(run)
	if _, err := os.Stat(path); err != nil {
		http.Error(rw, fmt.Sprintf("container %q in pod %q has no log yet", c.spec.Name, c.pod.key), http.StatusBadRequest)
		return
	}
	rw.Header().Set("Content-Type", "text/plain")
	out := flushing{rw}
	if err := logs.ReadLogs(r.Context(), path, "", options, stateOf{c: c}, out, out); err != nil && r.Context().Err() == nil {
		fmt.Fprintln(rw, err)
	}
}

// logOptions reads the query parameters of PodLogOptions.
func logOptions(q url.Values) (*logs.LogOptions, error) {
	o := &logs.LogOptions{Follow: q.Get("follow") == "true", Timestamp: q.Get("timestamps") == "true"}
	var sinceSeconds *int64
	for name, target := range map[string]**int64{"tailLines": &o.TailLines, "limitBytes": &o.LimitBytes, "sinceSeconds": &sinceSeconds} {
		if text := q.Get(name); text != "" {
			value, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			*target = &value
		}
	}
	if sinceSeconds != nil {
		o.Since = time.Now().Add(-time.Duration(*sinceSeconds) * time.Second)
	}
	if text := q.Get("sinceTime"); text != "" {
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return nil, fmt.Errorf("sinceTime: %w", err)
		}
		o.Since = t
	}
	return o, nil
}

// stateOf is the one call of a container runtime that the log reader makes: does the container still run?
type stateOf struct {
	criapi.RuntimeService
	c *container
}

func (s stateOf) ContainerStatus(context.Context, string, bool) (*cri.ContainerStatusResponse, error) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	state := cri.ContainerState_CONTAINER_EXITED
	if s.c.pid != 0 {
		state = cri.ContainerState_CONTAINER_RUNNING
	}
	return &cri.ContainerStatusResponse{Status: &cri.ContainerStatus{State: state}}, nil
}

// flushing sends every write to the client at once.
type flushing struct{ http.ResponseWriter }

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.ResponseWriter.Write(p)
	if flusher, ok := f.ResponseWriter.(http.Flusher); ok {
		flusher.Flush()
	}
	return n, err
}
