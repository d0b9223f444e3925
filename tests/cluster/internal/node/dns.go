// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"net"
	"strings"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
)

const (
	zone       = "cluster.local."
	ttl        = 5
	maxAliases = 8 // ExternalNames followed for one answer
)

// resolver answers the names of Services and pods, of which there are no others: the cluster has no way out.
type resolver struct {
	services corelisters.ServiceLister
	slices   discoverylisters.EndpointSliceLister
}

// serveDNS listens before it returns; answers are complete once the informers are.
func serveDNS(ctx context.Context, factory informers.SharedInformerFactory, address string) error {
	r := &resolver{factory.Core().V1().Services().Lister(), factory.Discovery().V1().EndpointSlices().Lister()}
	packets, err := net.ListenPacket("udp4", address)
	if err != nil {
		return err
	}
	stream, err := net.Listen("tcp4", address)
	if err != nil {
		return err
	}
	for _, server := range []*dns.Server{{PacketConn: packets, Handler: r}, {Listener: stream, Handler: r}} {
		go func() { _ = server.ActivateAndServe() }()
		context.AfterFunc(ctx, func() { _ = server.Shutdown() })
	}
	return nil
}

func (r *resolver) ServeDNS(w dns.ResponseWriter, request *dns.Msg) {
	reply := new(dns.Msg)
	reply.SetReply(request)
	reply.Authoritative, reply.RecursionAvailable = true, true
	if len(request.Question) == 1 {
		q := request.Question[0]
		owner := q.Name
		cname, ips, found := r.resolve(strings.ToLower(owner))
		header := func(kind uint16) dns.RR_Header {
			return dns.RR_Header{Name: owner, Rrtype: kind, Class: dns.ClassINET, Ttl: ttl}
		}
		if !found {
			reply.Rcode = dns.RcodeNameError
		}
		for range maxAliases { // clients leave it to their server to follow an alias
			if cname == "" {
				break
			}
			target := dns.Fqdn(cname)
			reply.Answer = append(reply.Answer, &dns.CNAME{Hdr: header(dns.TypeCNAME), Target: target})
			owner = target
			cname, ips, _ = r.resolve(strings.ToLower(target))
		}
		for _, text := range ips {
			ip := net.ParseIP(text)
			if v4 := ip.To4(); v4 != nil && q.Qtype == dns.TypeA {
				reply.Answer = append(reply.Answer, &dns.A{Hdr: header(dns.TypeA), A: v4})
			} else if v4 == nil && ip != nil && q.Qtype == dns.TypeAAAA {
				reply.Answer = append(reply.Answer, &dns.AAAA{Hdr: header(dns.TypeAAAA), AAAA: ip})
			}
		}
	}
	_ = w.WriteMsg(reply)
}

// resolve knows <svc>.<ns>.svc.<zone>, <hostname>.<svc>.<ns>.svc.<zone> and <a-b-c-d>.<ns>.pod.<zone>.
func (r *resolver) resolve(name string) (cname string, ips []string, found bool) {
	rest, ok := strings.CutSuffix(name, "."+zone)
	if !ok {
		return "", nil, false
	}
	parts := strings.Split(rest, ".")
	switch n := len(parts); {
	case n == 3 && parts[2] == "pod":
		ip := strings.ReplaceAll(parts[0], "-", ".")
		if net.ParseIP(ip) == nil {
			ip = strings.ReplaceAll(parts[0], "-", ":")
		}
		return "", []string{ip}, net.ParseIP(ip) != nil
	case n == 3 && parts[2] == "svc":
		return r.service(parts[1], parts[0], "")
	case n == 4 && parts[3] == "svc":
		return r.service(parts[2], parts[1], parts[0])
	}
	return "", nil, false
}

func (r *resolver) service(namespace, name, hostname string) (cname string, ips []string, found bool) {
	service, err := r.services.Services(namespace).Get(name)
	if err != nil {
		return "", nil, false
	}
	switch {
	case service.Spec.Type == corev1.ServiceTypeExternalName:
		return service.Spec.ExternalName, nil, hostname == ""
	case service.Spec.ClusterIP != corev1.ClusterIPNone:
		return "", service.Spec.ClusterIPs, hostname == ""
	}
	slices, _ := r.slices.EndpointSlices(namespace).List(labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: name}))
	for _, slice := range slices {
		for _, e := range slice.Endpoints {
			ready := e.Conditions.Ready == nil || *e.Conditions.Ready
			if (ready || service.Spec.PublishNotReadyAddresses) && (hostname == "" || (e.Hostname != nil && *e.Hostname == hostname)) {
				ips = append(ips, e.Addresses...)
			}
		}
	}
	return "", ips, hostname == "" || len(ips) > 0
}
