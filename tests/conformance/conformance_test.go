// SPDX-License-Identifier: Apache-2.0

// Package conformance runs the official Gateway API conformance suite, as released, against the cluster that KUBECONFIG
// names. All of the suite's own flags are available: -gateway-class, -conformance-profiles, -supported-features,
// -run-test, -skip-tests, -report-output, …
package conformance

import (
	"testing"

	"sigs.k8s.io/gateway-api/conformance"
)

func TestConformance(t *testing.T) {
	conformance.RunConformance(t)
}
