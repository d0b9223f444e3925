/* SPDX-License-Identifier: Apache-2.0 */
#include "plan_source.h"
#include "print.h"

int weir_ctl_dump(struct weir_ctl *ctl)
{
	_cleanup_buf_ struct weir_buf out = {0};
	_cleanup_source_ struct weir_source src = {0};

	if (weir_source_open(ctl, &src) < 0) {
		return WEIR_CTL_FAILED;
	}
	if (ctl->is_json) {
		weir_plan_print_json(&src.view, &out);
	} else {
		weir_plan_print(&src.view, &out);
	}
	return weir_ctl_print(&out, WEIR_CTL_OK);
}
