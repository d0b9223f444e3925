// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os/exec"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

const (
	streamIdle   = 4 * time.Hour
	streamCreate = 30 * time.Second
)

// serve is kubelet's API on the node's address, as far as the API server needs it for logs, exec and port-forward. It
// does not authenticate: it is reachable from the cluster's own network namespaces only.
func (n *node) serve(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprintln(rw, "ok") })
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", n.serveLogs)
	mux.HandleFunc("/exec/{namespace}/{pod}/{container}", n.serveExec)
	mux.HandleFunc("/portForward/{namespace}/{pod}", n.servePortForward)
	certificate, err := selfSigned(n.cfg.Name, n.cfg.IPs[0])
	if err != nil {
		return err
	}
	listener, err := tls.Listen("tcp", net.JoinHostPort(n.cfg.IPs[0], fmt.Sprint(kubeletPort)), &tls.Config{
		Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1"}, // SPDY upgrades need HTTP/1.1
	})
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = server.Serve(listener) }()
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	return nil
}

func (n *node) serveExec(rw http.ResponseWriter, r *http.Request) {
	c, err := n.find(r.PathValue("namespace"), r.PathValue("pod"), r.PathValue("container"))
	if err != nil {
		http.Error(rw, err.Error(), http.StatusNotFound)
		return
	}
	options, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	remotecommand.ServeExec(rw, r, executor{c}, r.PathValue("pod"), "", r.PathValue("container"), r.URL.Query()["command"],
		options, streamIdle, streamCreate, remotecommand.SupportedStreamingProtocols)
}

// executor runs one exec session. A TTY is not allocated: commands see pipes.
type executor struct{ c *container }

func (e executor) ExecInContainer(ctx context.Context, _, _, _ string, command []string, in io.Reader, out, errOut io.WriteCloser,
	tty bool, _ <-chan remotecommand.TerminalSize, _ time.Duration) error {
	if errOut == nil && tty {
		errOut = out
	}
	err := e.c.exec(ctx, command, in, out, errOut)
	if exit, ok := err.(*exec.ExitError); ok {
		return utilexec.CodeExitError{Err: err, Code: exit.ExitCode()}
	}
	return err
}

func (n *node) servePortForward(rw http.ResponseWriter, r *http.Request) {
	options, err := portforward.NewV4Options(r)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	key := r.PathValue("namespace") + "/" + r.PathValue("pod")
	portforward.ServePortForward(rw, r, forwarder{n}, key, "", options, streamIdle, streamCreate, portforward.SupportedProtocols)
}

type forwarder struct{ n *node }

func (f forwarder) PortForward(ctx context.Context, key, _ string, port int32, stream io.ReadWriteCloser) error {
	defer stream.Close()
	ip := ""
	f.n.mu.Lock()
	for _, w := range f.n.workers {
		if w.key == key && w.net != nil {
			ip = w.net.ip()
		}
	}
	f.n.mu.Unlock()
	if ip == "" {
		return fmt.Errorf("no pod %s on node %s", key, f.n.cfg.Name)
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(ip, fmt.Sprint(port)))
	if err != nil {
		return err
	}
	defer conn.Close()
	go func() {
		_, _ = io.Copy(conn, stream)
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	_, err = io.Copy(stream, conn)
	return err
}

func selfSigned(name, ip string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		DNSNames: []string{name}, IPAddresses: []net.IP{net.ParseIP(ip)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
