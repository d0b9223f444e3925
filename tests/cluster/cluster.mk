# SPDX-License-Identifier: Apache-2.0
# Kubernetes as local processes; its programs are built once, into ~/.cache/weir.
.PHONY: cluster cluster-down test-cluster test-knative conformance conformance-gateway conformance-knative
cluster cluster-down: export WEIR_BUILD = $(abspath $(B))
cluster: export KNATIVE := $(KNATIVE)
cluster: ## a Kubernetes cluster to play with, weir on it, an example served; KNATIVE=1
	$(Q)scripts/setup build cluster
	$(Q)$(SUBMAKE) all $(TOOL_BIN)
	$(Q)tests/cluster/play
cluster-down: ## its end
	$(Q)tests/cluster/play down
test-cluster: ## the cluster by itself, then weir on it (root)
	$(Q)scripts/setup build test cluster
	$(Q)$(SUBMAKE) all $(TOOL_BIN)
	$(Q)scripts/run-tests --build $(B) tests/cluster/test-*.sh tests/kube/test-*.sh
test-knative: ## real Knative Serving, weir its network layer (root)
	$(Q)scripts/setup build test cluster
	$(Q)$(SUBMAKE) all $(TOOL_BIN)
	$(Q)scripts/run-tests --build $(B) tests/knative/test-*.sh
conformance: ## the official suites of the Gateway API and of KIngress
	$(Q)$(SUBMAKE) conformance-gateway CONFORMANCE=
	$(Q)$(SUBMAKE) conformance-knative CONFORMANCE=
conformance-gateway: ## the first alone; CONFORMANCE='--profiles GATEWAY-TCP'
	$(Q)scripts/setup build cluster
	$(Q)$(SUBMAKE) all $(TOOL_BIN)
	$(Q)tests/conformance/run --build $(B) --reports tests/conformance/reports $(CONFORMANCE)
conformance-knative: ## the second alone; CONFORMANCE='--test grpc'
	$(Q)scripts/setup build cluster
	$(Q)$(SUBMAKE) all $(TOOL_BIN)
	$(Q)tests/conformance/run-knative --build $(B) --report tests/conformance/reports/knative-ingress.json $(CONFORMANCE)
