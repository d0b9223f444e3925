// SPDX-License-Identifier: Apache-2.0

// A gRPC server and client on bytes, without generated code:
//
//	grpc serve NAME ADDR [CERT KEY]     until it is killed; prints "ready"
//	grpc call ADDR [flags]              TAP lines of what was asked for
//
// Service weir.Test: Unary answers the request; Fail ends with the code that
// the request says; Server sends the request as often as it says; Client
// answers the number of messages; Bidi answers each message at once.  Each
// sends metadata "backend: NAME" as head and "end: NAME" as trailer.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// raw passes messages as they are.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error)      { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v any) error { *v.(*[]byte) = bytes.Clone(data); return nil }
func (raw) Name() string                       { return "raw" }

type server struct{ name string }

func (s *server) mark(ctx context.Context) {
	_ = grpc.SetHeader(ctx, metadata.Pairs("backend", s.name))
	_ = grpc.SetTrailer(ctx, metadata.Pairs("end", s.name))
}

func unary(answer func(*server, []byte) ([]byte, error)) func(any, context.Context, func(any) error, grpc.UnaryServerInterceptor) (any, error) {
	return func(srv any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		var in []byte
		if err := decode(&in); err != nil {
			return nil, err
		}
		s := srv.(*server)
		s.mark(ctx)
		out, err := answer(s, in)
		return &out, err
	}
}

func echo(_ *server, in []byte) ([]byte, error) { return in, nil }

func fail(_ *server, in []byte) ([]byte, error) {
	code, _ := strconv.Atoi(string(in))
	return nil, status.Error(codes.Code(code), "as asked")
}

func serverStream(srv any, stream grpc.ServerStream) error {
	var in []byte
	if err := stream.RecvMsg(&in); err != nil {
		return err
	}
	srv.(*server).mark(stream.Context())
	n, _ := strconv.Atoi(string(in))
	for range n {
		if err := stream.SendMsg(&in); err != nil {
			return err
		}
	}
	return nil
}

func clientStream(srv any, stream grpc.ServerStream) error {
	srv.(*server).mark(stream.Context())
	for n := 0; ; n++ {
		var in []byte
		err := stream.RecvMsg(&in)
		if errors.Is(err, io.EOF) {
			out := []byte(strconv.Itoa(n))
			return stream.SendMsg(&out)
		}
		if err != nil {
			return err
		}
	}
}

func bidi(srv any, stream grpc.ServerStream) error {
	srv.(*server).mark(stream.Context())
	for {
		var in []byte
		err := stream.RecvMsg(&in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.SendMsg(&in); err != nil {
			return err
		}
	}
}

var service = grpc.ServiceDesc{
	ServiceName: "weir.Test",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{
		{MethodName: "Unary", Handler: unary(echo)},
		{MethodName: "Fail", Handler: unary(fail)},
	},
	Streams: []grpc.StreamDesc{
		{StreamName: "Server", Handler: serverStream, ServerStreams: true},
		{StreamName: "Client", Handler: clientStream, ClientStreams: true},
		{StreamName: "Bidi", Handler: bidi, ServerStreams: true, ClientStreams: true},
	},
}

func serve(name, addr string, files []string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	options := []grpc.ServerOption{grpc.ForceServerCodec(raw{})}
	if len(files) == 2 {
		creds, err := credentials.NewServerTLSFromFile(files[0], files[1])
		if err != nil {
			return err
		}
		options = append(options, grpc.Creds(creds))
	}
	g := grpc.NewServer(options...)
	g.RegisterService(&service, &server{name})
	fmt.Println("ready")
	return g.Serve(l)
}

// ---------------------------------------------------------------- client

var failures int
var serviceName = service.ServiceName

func ok(is bool, text string, detail ...any) {
	if is {
		fmt.Println("ok -", text)
		return
	}
	failures++
	fmt.Println("not ok -", text)
	fmt.Println("#", fmt.Sprint(detail...))
}

func call(conn *grpc.ClientConn, method string, in []byte) (out []byte, head, end metadata.MD, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err = conn.Invoke(ctx, "/"+serviceName+"/"+method, &in, &out, grpc.Header(&head), grpc.Trailer(&end))
	return
}

func one(md metadata.MD, key string) string {
	if v := md.Get(key); len(v) > 0 {
		return v[0]
	}
	return ""
}

func checkUnary(conn *grpc.ClientConn) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	out, head, end, err := call(conn, "Unary", []byte("hello"))
	ok(err == nil && string(out) == "hello", "unary", err)
	ok(one(head, "backend") != "" && one(end, "end") == one(head, "backend"),
		"unary: metadata before and after", head, end)
	out, _, _, err = call(conn, "Unary", big)
	ok(err == nil && bytes.Equal(out, big), "unary: a megabyte each way", err, len(out))
	out, _, _, err = call(conn, "Unary", nil)
	ok(err == nil && len(out) == 0, "unary: an empty message", err)
	for _, code := range []codes.Code{codes.NotFound, codes.Unavailable, codes.DataLoss} {
		_, _, end, err = call(conn, "Fail", []byte(strconv.Itoa(int(code))))
		ok(status.Code(err) == code && status.Convert(err).Message() == "as asked" && one(end, "end") != "",
			"status "+code.String()+" with its trailer", err, end)
	}
}

func checkStreams(conn *grpc.ClientConn) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	s, err := conn.NewStream(ctx, &service.Streams[0], "/weir.Test/Server")
	in := []byte("1000")
	var out []byte
	n := 0
	if err == nil {
		_ = s.SendMsg(&in)
		_ = s.CloseSend()
		for err = s.RecvMsg(&out); err == nil; err = s.RecvMsg(&out) {
			n++
		}
	}
	ok(n == 1000 && errors.Is(err, io.EOF), "server streaming", n, err)

	c, err := conn.NewStream(ctx, &service.Streams[1], "/weir.Test/Client")
	for i := 0; err == nil && i < 1000; i++ {
		err = c.SendMsg(&in)
	}
	if err == nil {
		_ = c.CloseSend()
		err = c.RecvMsg(&out)
	}
	ok(err == nil && string(out) == "1000", "client streaming", err, string(out))

	b, err := conn.NewStream(ctx, &service.Streams[2], "/weir.Test/Bidi")
	for i := 0; err == nil && i < 100; i++ {
		msg := []byte(strconv.Itoa(i))
		if err = b.SendMsg(&msg); err == nil {
			err = b.RecvMsg(&out) // before anything else is sent
		}
		if err == nil && !bytes.Equal(out, msg) {
			err = errors.New("another message")
		}
	}
	ok(err == nil, "both ways: each message answered before the next", err)
	if err == nil {
		_ = b.CloseSend()
		err = b.RecvMsg(&out)
	}
	ok(errors.Is(err, io.EOF) && one(b.Trailer(), "end") != "", "both ways: its end and trailer", err)

	short, stop := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer stop()
	d, err := conn.NewStream(short, &service.Streams[2], "/weir.Test/Bidi")
	if err == nil {
		err = d.RecvMsg(&out)
	}
	ok(status.Code(err) == codes.DeadlineExceeded, "a deadline of the client's own", err)
}

func checkMany(conn *grpc.ClientConn) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	bad := 0
	for range 200 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 20 {
				if out, _, _, err := call(conn, "Unary", []byte("x")); err != nil || string(out) != "x" {
					mu.Lock()
					bad++
					mu.Unlock()
				}
			}
		}()
	}
	wg.Wait()
	ok(bad == 0, "4000 calls on one connection, 200 at a time", bad)

	// More waits of a backend than is read in a turn; nothing else comes of it.
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<12)
	for range 16 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 10 {
				if out, _, _, err := call(conn, "Unary", big); err != nil || !bytes.Equal(out, big) {
					mu.Lock()
					bad++
					mu.Unlock()
					return
				}
			}
		}()
	}
	wg.Wait()
	ok(bad == 0, "160 calls of 64 KiB on one connection, 16 at a time", bad)

	// Each of them comes with PINGs, by which grpc-go measures the path.
	big = bytes.Repeat(big, 16)
	for range 200 {
		if out, _, _, err := call(conn, "Unary", big); err != nil || !bytes.Equal(out, big) {
			bad++
		}
	}
	ok(bad == 0, "200 calls of a MiB, one after the other", bad)

	// Each end of a body against the end of a buffer, and the trailers behind it.
	for n := 32600; n < 32800; n++ {
		if out, _, end, err := call(conn, "Unary", bytes.Repeat([]byte("x"), n)); err != nil || len(out) != n || one(end, "end") == "" {
			bad++
		}
	}
	ok(bad == 0, "bodies about as long as a buffer", bad)
}

func client(addr string, args []string) error {
	f := flag.NewFlagSet("call", flag.ExitOnError)
	authority := f.String("authority", "", "of the requests")
	name := f.String("tls", "", "server name; empty: no TLS")
	want := f.Int("code", -1, "status that a unary call must end with")
	f.StringVar(&serviceName, "service", serviceName, "of that call")
	method := f.String("method", "Unary", "of that call")
	_ = f.Parse(args)
	creds := insecure.NewCredentials()
	if *name != "" {
		creds = credentials.NewTLS(&tls.Config{ServerName: *name, InsecureSkipVerify: true})
	}
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(creds),
		grpc.WithAuthority(*authority), grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})))
	if err != nil {
		return err
	}
	defer conn.Close()
	if *want >= 0 {
		_, _, _, err := call(conn, *method, nil)
		ok(status.Code(err) == codes.Code(*want), "ends with "+codes.Code(*want).String(), err)
		return nil
	}
	checkUnary(conn)
	checkStreams(conn)
	checkMany(conn)
	return nil
}

func main() {
	encoding.RegisterCodec(raw{})
	var err error
	switch {
	case len(os.Args) >= 4 && os.Args[1] == "serve":
		err = serve(os.Args[2], os.Args[3], os.Args[4:])
	case len(os.Args) >= 3 && os.Args[1] == "call":
		err = client(os.Args[2], os.Args[3:])
	default:
		err = errors.New("usage: grpc serve NAME ADDR [CERT KEY] | call ADDR [flags]")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "grpc:", err)
		os.Exit(2)
	}
	if failures > 0 {
		os.Exit(1)
	}
}
