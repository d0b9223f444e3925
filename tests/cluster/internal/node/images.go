// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Image says which programs of this machine stand for a container image.
type Image struct {
	Image         string            // reference without tag, or a prefix of it that ends before '/'
	Entrypoint    []string          // used when the container has no command
	Env           map[string]string // the image's own environment
	Files         map[string]string // path in the container → file or directory here, with $VARIABLES of the node's environment; relative: below the bin directory
	Root          string            // unpacked image, instead of this machine's /usr; path as in Files
	Dir           string            // working directory, default /
	AwaitListener bool              // without a readiness probe: ready only when a socket listens
}

type images struct {
	binDir string
	table  []Image
}

func loadImages(file, binDir string) (*images, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	t := &images{binDir: binDir}
	if err := json.Unmarshal(raw, &t.table); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return t, nil
}

// lookup finds the longest entry that ref begins with, at a boundary of the reference.
func (t *images) lookup(ref string) (*Image, error) {
	if name, _, _ := strings.Cut(ref, "/"); name == ref || !strings.ContainsAny(name, ".:") {
		if !strings.Contains(ref, "/") {
			ref = "library/" + ref
		}
		ref = "docker.io/" + ref
	}
	var best *Image
	for i := range t.table {
		entry := &t.table[i]
		rest, ok := strings.CutPrefix(ref, entry.Image)
		if ok && (rest == "" || strings.ContainsRune(":@/", rune(rest[0]))) && (best == nil || len(entry.Image) > len(best.Image)) {
			best = entry
		}
	}
	if best == nil {
		return nil, fmt.Errorf("no entry for %q in the image table", ref)
	}
	return best, nil
}

// hostPath is where a file of an image, or podinit, is on this machine.
func (t *images) hostPath(file string) string {
	file = os.ExpandEnv(file)
	if filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(t.binDir, file)
}
