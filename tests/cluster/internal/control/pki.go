// SPDX-License-Identifier: Apache-2.0

package control

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const lifetime = 365 * 24 * time.Hour

// authority signs the few certificates of one cluster; everything is new at every start.
type authority struct {
	dir  string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(dir string) (*authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	a := &authority{dir: dir}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "rig-ca"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	var err error
	a.cert, a.key, err = a.issue("ca", template)
	return a, err
}

// openAuthority reads one that an earlier process made. It signs nothing more.
func openAuthority(dir string) (*authority, error) {
	a := &authority{dir: dir}
	raw, err := os.ReadFile(a.path("ca.crt"))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, fmt.Errorf("%s: no certificate", a.path("ca.crt"))
	}
	a.cert, err = x509.ParseCertificate(block.Bytes)
	return a, err
}

// server issues a serving certificate for names and addresses.
func (a *authority) server(name string, hosts ...string) error {
	template := &x509.Certificate{Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	_, _, err := a.issue(name, template)
	return err
}

// client issues a client certificate: user name and group in the API server's terms.
func (a *authority) client(name, user, group string) error {
	_, _, err := a.issue(name, &x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: []string{group}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err
}

// issue signs template by the authority (itself, for the first one) and writes name.crt and name.key.
func (a *authority) issue(name string, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := a.keyPair(name)
	if err != nil {
		return nil, nil, err
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(lifetime)
	if template.KeyUsage == 0 {
		template.KeyUsage = x509.KeyUsageDigitalSignature
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, nil, err
	}
	if err := a.write(name+".crt", "CERTIFICATE", der); err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return cert, key, err
}

// keyPair writes name.key and name.pub; the service account issuer is nothing but such a pair.
func (a *authority) keyPair(name string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	if err := a.write(name+".key", "EC PRIVATE KEY", private); err != nil {
		return nil, err
	}
	return key, a.write(name+".pub", "PUBLIC KEY", public)
}

func (a *authority) write(file, kind string, der []byte) error {
	return os.WriteFile(a.path(file), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

func (a *authority) path(file string) string { return filepath.Join(a.dir, file) }

// kubeconfig writes a self-contained client configuration with the certificate of client.
func (a *authority) kubeconfig(file, server, client string) error {
	data := map[string]string{}
	for _, name := range []string{"ca.crt", client + ".crt", client + ".key"} {
		raw, err := os.ReadFile(a.path(name))
		if err != nil {
			return err
		}
		data[name] = base64.StdEncoding.EncodeToString(raw)
	}
	return os.WriteFile(file, fmt.Appendf(nil, `apiVersion: v1
kind: Config
current-context: rig
contexts: [{name: rig, context: {cluster: rig, user: %[3]s}}]
clusters: [{name: rig, cluster: {server: "%[1]s", certificate-authority-data: %[2]s}}]
users: [{name: %[3]s, user: {client-certificate-data: %[4]s, client-key-data: %[5]s}}]
`, server, data["ca.crt"], client, data[client+".crt"], data[client+".key"]), 0o600)
}
