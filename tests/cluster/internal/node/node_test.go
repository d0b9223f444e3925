// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

func TestImageLookupTakesTheLongestName(t *testing.T) {
	images := &images{binDir: "/bin", table: []Image{
		{Image: "example.com/a"}, {Image: "example.com/a/b"}, {Image: "docker.io/library/busybox"}, {Image: "docker.io/me/it"},
	}}
	for ref, want := range map[string]string{
		"example.com/a:v1":            "example.com/a",
		"example.com/a@sha256:00":     "example.com/a",
		"example.com/a/b:v1":          "example.com/a/b",
		"example.com/a/c":             "example.com/a",
		"busybox":                     "docker.io/library/busybox",
		"me/it:2":                     "docker.io/me/it",
		"example.com/ab":              "",
		"localhost:5000/busybox":      "",
		"example.org/docker.io/me/it": "",
	} {
		got, err := images.lookup(ref)
		switch {
		case want == "" && err == nil:
			t.Errorf("%s: found %s, want none", ref, got.Image)
		case want != "" && err != nil:
			t.Errorf("%s: %v", ref, err)
		case want != "" && got.Image != want:
			t.Errorf("%s: %s, want %s", ref, got.Image, want)
		}
	}
}

func TestImageFilesMayNameVariables(t *testing.T) {
	t.Setenv("WEIR_BUILD", "/somewhere")
	images := &images{binDir: "/bin"}
	for file, want := range map[string]string{
		"echo": "/bin/echo", "/usr/bin/env": "/usr/bin/env", "$WEIR_BUILD/weir-agent": "/somewhere/weir-agent",
	} {
		if got := images.hostPath(file); got != want {
			t.Errorf("%s: %s, want %s", file, got, want)
		}
	}
}

func TestAddressesGoRoundAndPairUp(t *testing.T) {
	n := &network{last: firstHost - 1, used: map[int]bool{}, cidrs: [2]netip.Prefix{
		netip.MustParsePrefix("10.244.3.0/24"), netip.MustParsePrefix("fd00:10:244:3::/64"),
	}}
	host, err := n.allocate()
	if err != nil {
		t.Fatal(err)
	}
	if a, b := address(n.cidrs[0], host), address(n.cidrs[1], host); a != "10.244.3.2" || b != "fd00:10:244:3::2" {
		t.Errorf("the first pod has %s and %s", a, b)
	}
	n.remove(&podNetwork{host: host}) // not a pod's own network: nothing to give back
	if next, _ := n.allocate(); next != host+1 {
		t.Errorf("the second host number is %d", next)
	}
	for range lastHost - firstHost - 1 {
		if _, err := n.allocate(); err != nil {
			t.Fatal(err)
		}
	}
	if host, err := n.allocate(); err == nil {
		t.Errorf("a full network gave %d", host)
	}
	delete(n.used, 77)
	if host, err := n.allocate(); err != nil || host != 77 {
		t.Errorf("freed 77, got %d, %v", host, err)
	}
}

// A namespace of this thread's own, which ends with it: it is not unlocked.
func TestPodIsThereWhenItsVethIsUp(t *testing.T) {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	if err := batch([]string{"link add here type veth peer name there", "link set here up"}); err != nil {
		t.Fatal(err)
	}
	if err := awaitUp("here", 100*time.Millisecond); err == nil {
		t.Error("up though its other end is down")
	}
	if err := run("ip", "link", "set", "there", "up"); err != nil {
		t.Fatal(err)
	}
	if err := awaitUp("here", upMax); err != nil {
		t.Error(err)
	}
	if err := awaitUp("nowhere", upMax); err == nil {
		t.Error("up though it does not exist")
	}
}

func TestHostPathsAreTheNodesOwn(t *testing.T) {
	n := &node{cfg: Config{Cgroup: "/cg/c/node-1", BPF: "/bpf/c/node-1", StateDir: "/state/node-1"}}
	for path, want := range map[string]string{
		"/sys/fs/cgroup":      "/cg/c/node-1",
		"/sys/fs/cgroup/a/":   "/cg/c/node-1/a",
		"/sys/fs/bpf/weir":    "/bpf/c/node-1/weir",
		"/sys/fs/bpffs":       "/sys/fs/bpffs",
		"/run/weir":           "/state/node-1/run/weir",
		"/var/run/weir":       "/state/node-1/run/weir",
		"/var/lib/../lib/x":   "/state/node-1/var/lib/x",
		"/lib/modules":        "/lib/modules",
		"/sys/fs/../fs/bpf/x": "/bpf/c/node-1/x",
	} {
		if got := n.hostPath(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestCapabilities(t *testing.T) {
	if len(capabilities) != 41 { // CAP_LAST_CAP of Linux 6.x is 40
		t.Errorf("%d capabilities", len(capabilities))
	}
	bits, err := capabilityBits([]string{"NET_ADMIN", "cap_bpf", "CHOWN"})
	if want := uint64(1<<12 | 1<<39 | 1<<0); err != nil || bits != want {
		t.Errorf("%x, %v, want %x", bits, err, want)
	}
	if bits, err := capabilityBits([]string{"ALL"}); err != nil || bits != allCapabilities {
		t.Errorf("ALL: %x, %v", bits, err)
	}
	if _, err := capabilityBits([]string{"NET_ADMNI"}); err == nil {
		t.Error("a misspelt capability was taken")
	}
}

func TestLogsAreCutIntoLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "0.log")
	log, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	out, errOut := log.stream("stdout"), log.stream("stderr")
	for _, piece := range []string{"one\ntw", "o\n", "three"} {
		if _, err := out.Write([]byte(piece)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := errOut.Write([]byte("oops\n")); err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	raw, _ := os.ReadFile(path)
	var got []string
	for line := range bytes.Lines(raw) {
		_, rest, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
		got = append(got, rest)
	}
	want := []string{"stdout F one", "stdout F two", "stderr F oops", "stdout F three"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestArgumentsAreExpandedOnce(t *testing.T) {
	env := map[string]string{"A": "x", "B": "$(A)"}
	got := strings.Join(expandArgs([]string{"$(A)", "$(B)", "$$(A)", "$(NONE)"}, env), " ")
	if want := "x $(A) $(A) $(NONE)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestConditionsKeepTheirTime(t *testing.T) {
	first := podCondition(nil, corev1.PodReady, false, "ContainersNotReady", "", 1)
	before := &corev1.PodStatus{Conditions: []corev1.PodCondition{first}}
	before.Conditions[0].LastTransitionTime.Time = before.Conditions[0].LastTransitionTime.Add(-1e9)
	same := podCondition(before, corev1.PodReady, false, "ContainersNotReady", "", 2)
	if !same.LastTransitionTime.Equal(&before.Conditions[0].LastTransitionTime) {
		t.Error("the time moved although the status stayed")
	}
	changed := podCondition(before, corev1.PodReady, true, "ContainersNotReady", "", 2)
	if changed.LastTransitionTime.Equal(&before.Conditions[0].LastTransitionTime) || changed.Reason != "" {
		t.Error("the status changed, and the time or the reason did not")
	}
}
