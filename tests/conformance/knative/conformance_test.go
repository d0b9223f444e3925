// SPDX-License-Identifier: Apache-2.0

//go:build e2e

// The official suite of KIngress implementations, as it is.
package conformance

import (
	"testing"

	"knative.dev/networking/test/conformance/ingress"
)

func TestIngressConformance(t *testing.T) {
	ingress.RunConformance(t)
}
