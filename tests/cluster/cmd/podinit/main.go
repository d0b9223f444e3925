// SPDX-License-Identifier: Apache-2.0

// Command podinit is the last step of starting a container. The node starts it in fresh mount, UTS, IPC and PID
// namespaces; it joins the pod's network namespace, builds the root file system and becomes the container's program.
//
// It is a program of its own, free of client-go, so that starting a container costs a millisecond or two.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"weir.test/cluster/internal/sandbox"
)

// hostDirs of the machine are visible, read-only, in every container: the "image" is a program on this machine.
var hostDirs = []string{"usr", "bin", "sbin", "lib", "lib32", "lib64"}

// hostEtc are the files of /etc that programs expect of an image.
var hostEtc = []string{"alternatives", "ca-certificates", "group", "ld.so.cache", "localtime", "mime.types",
	"nsswitch.conf", "passwd", "protocols", "services", "ssl"}

func main() {
	runtime.LockOSThread() // setns below is per thread, and this thread executes the program
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "podinit:", err)
		os.Exit(128)
	}
}

func run(specFile string) error {
	raw, err := os.ReadFile(specFile)
	if err != nil {
		return err
	}
	var spec sandbox.Spec
	if err := json.Unmarshal(raw, &spec); err != nil {
		return err
	}
	if err := joinNetwork(spec.NetNS); err != nil {
		return fmt.Errorf("joining %s: %w", spec.NetNS, err)
	}
	if err := unix.Sethostname([]byte(spec.Hostname)); err != nil {
		return fmt.Errorf("setting the hostname: %w", err)
	}
	if err := buildRoot(&spec); err != nil {
		return err
	}
	if err := confine(&spec); err != nil {
		return err
	}
	if err := os.Chdir(spec.Dir); err != nil {
		return err
	}
	if spec.UID != nil { // as container runtimes do: opening /dev/stdout would otherwise be refused
		for fd := range 3 {
			_ = unix.Fchown(fd, *spec.UID, -1)
		}
	}
	if spec.GID != nil {
		if err := syscall.Setgid(*spec.GID); err != nil {
			return err
		}
	}
	if spec.UID != nil {
		if err := syscall.Setuid(*spec.UID); err != nil {
			return err
		}
	}
	for _, kv := range spec.Env {
		if path, ok := strings.CutPrefix(kv, "PATH="); ok {
			os.Setenv("PATH", path)
		}
	}
	program, err := exec.LookPath(spec.Argv[0])
	if err != nil {
		return err
	}
	return syscall.Exec(program, spec.Argv, spec.Env)
}

func joinNetwork(path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Setns(fd, unix.CLONE_NEWNET)
}

// buildRoot assembles the root on a tmpfs and pivots into it.
func buildRoot(spec *sandbox.Spec) error {
	root := spec.Root
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := unix.Mount("tmpfs", root, "tmpfs", unix.MS_NOSUID, "mode=755,size=256m"); err != nil {
		return fmt.Errorf("mounting the root: %w", err)
	}
	for _, dir := range []string{"proc", "sys", "dev", "tmp", "run", "etc", "root", "var/run", "var/tmp", "var/log"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			return err
		}
	}
	_ = os.Chmod(filepath.Join(root, "tmp"), 0o1777)
	if err := bindPrograms(spec.Image, root); err != nil {
		return err
	}
	if err := unix.Mount("proc", filepath.Join(root, "proc"), "proc", 0, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	if err := unix.Mount("sysfs", filepath.Join(root, "sys"), "sysfs", 0, ""); err != nil {
		return fmt.Errorf("mounting /sys: %w", err)
	}
	if err := unix.Mount("/dev", filepath.Join(root, "dev"), "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mounting /dev: %w", err)
	}
	if err := unix.Mount("shm", filepath.Join(root, "dev/shm"), "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777,size=64m"); err != nil {
		return fmt.Errorf("mounting /dev/shm: %w", err)
	}
	for _, m := range spec.Mounts {
		if err := bind(m.Source, filepath.Join(root, m.Target), m.ReadOnly); err != nil {
			return fmt.Errorf("mounting %s: %w", m.Target, err)
		}
	}
	old := filepath.Join(root, ".old")
	if err := os.MkdirAll(old, 0o700); err != nil {
		return err
	}
	if err := unix.PivotRoot(root, old); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := unix.Unmount("/.old", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leaving the old root: %w", err)
	}
	return os.Remove("/.old")
}

// confine takes away what a container that is not privileged does not have.
func confine(spec *sandbox.Spec) error {
	if spec.ReadOnlyRoot {
		if err := readOnly("/"); err != nil {
			return err
		}
	}
	if !spec.Privileged {
		if err := unix.Mount("/proc/sys", "/proc/sys", "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mounting /proc/sys: %w", err)
		}
		for _, path := range []string{"/proc/sys", "/sys"} {
			if err := readOnly(path); err != nil {
				return err
			}
		}
		// root has after execve what the bounding set leaves (capabilities(7))
		for n := range uintptr(unix.CAP_LAST_CAP + 1) {
			if spec.Capabilities&(1<<n) != 0 {
				continue
			}
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, n, 0, 0, 0); err != nil && err != unix.EINVAL {
				return fmt.Errorf("dropping capability %d: %w", n, err)
			}
		}
	}
	if spec.NoNewPrivs {
		return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	}
	return nil
}

func readOnly(path string) error {
	if err := unix.Mount("", path, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("making %s read-only: %w", path, err)
	}
	return nil
}

// bindPrograms makes the content of an unpacked image visible, read-only; without one, that of the machine.
func bindPrograms(image, root string) error {
	if image == "" {
		for _, dir := range hostDirs {
			if err := mirrorHostDir("/"+dir, filepath.Join(root, dir)); err != nil {
				return err
			}
		}
		return bindExisting("/etc", filepath.Join(root, "etc"), hostEtc)
	}
	entries, err := os.ReadDir(image)
	if err != nil {
		return err
	}
	var names []string
	for _, e := range entries {
		if _, err := os.Stat(filepath.Join(root, e.Name())); os.IsNotExist(err) { // /proc and others are there already
			names = append(names, e.Name())
		}
	}
	if err := bindExisting(image, root, names); err != nil {
		return err
	}
	return bindExisting(filepath.Join(image, "etc"), filepath.Join(root, "etc"), hostEtc)
}

func bindExisting(from, to string, names []string) error {
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(from, name)); err != nil {
			continue
		}
		if err := bind(filepath.Join(from, name), filepath.Join(to, name), true); err != nil {
			return err
		}
	}
	return nil
}

// mirrorHostDir makes a top-level directory of the machine visible; merged-/usr symlinks stay symlinks.
func mirrorHostDir(source, target string) error {
	info, err := os.Lstat(source)
	if os.IsNotExist(err) {
		return nil
	} else if err != nil {
		return err
	}
	if info.Mode()&os.ModeSymlink != 0 {
		link, err := os.Readlink(source)
		if err != nil {
			return err
		}
		return os.Symlink(link, target)
	}
	return bind(source, target, true)
}

// bind mounts source, with what is mounted below it, at target, which is created as needed.
func bind(source, target string, isReadOnly bool) error {
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	if info.IsDir() {
		err = os.MkdirAll(target, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(target), 0o755); err == nil {
		var f *os.File
		if f, err = os.OpenFile(target, os.O_CREATE, 0o644); err == nil {
			f.Close()
		}
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	if !isReadOnly {
		return nil
	}
	return readOnly(target)
}
