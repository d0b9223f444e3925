// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Keeps in go.mod what the programs of Knative Serving need.
package serving

import (
	_ "knative.dev/serving/cmd/activator"
	_ "knative.dev/serving/cmd/autoscaler"
	_ "knative.dev/serving/cmd/controller"
	_ "knative.dev/serving/cmd/queue"
	_ "knative.dev/serving/cmd/webhook"
)
