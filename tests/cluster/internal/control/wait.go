// SPDX-License-Identifier: Apache-2.0

package control

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"weir.test/cluster/internal/cgroup"
)

const (
	apiPatience  = 90 * time.Second // 3 to 5 s on an idle machine
	nodePatience = 60 * time.Second
)

// waiter asks the API server whether things are ready. It must be in the cluster's network namespace.
type waiter struct {
	c      *Cluster
	client *http.Client
}

func (c *Cluster) newWaiter(pki *authority) (*waiter, error) {
	certificate, err := tls.LoadX509KeyPair(pki.path("admin.crt"), pki.path("admin.key"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(pki.cert)
	return &waiter{c, &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{certificate}},
	}}}, nil
}

func (w *waiter) apiServer() error {
	return w.poll("/readyz", apiPatience, 0, "kube-apiserver", func(string) bool { return true })
}

func (w *waiter) node(i int) error {
	return w.poll("/api/v1/nodes/"+nodeName(i), nodePatience, i, kubelet, func(body string) bool {
		return strings.Contains(body, `"KubeletReady"`)
	})
}

// poll asks until the reply is 200 and good, the program dies or time is up.
func (w *waiter) poll(path string, patience time.Duration, node int, program string, good func(body string) bool) error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if body, err := w.get(path); err == nil && good(body) {
			return nil
		}
		if len(cgroup.Pids(w.c.place(node, program))) == 0 {
			return fmt.Errorf("%s died, see %s", program, w.c.logFile(node, program))
		}
	}
	return fmt.Errorf("%s is not ready after %s, see %s", program, patience, w.c.logFile(node, program))
}

func (w *waiter) get(path string) (string, error) {
	reply, err := w.client.Get(w.c.server() + path)
	if err != nil {
		return "", err
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	if reply.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", path, reply.Status)
	}
	return string(body), err
}
