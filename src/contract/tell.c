/*
 * tell.c
 *		Results of promises and the alerts that belong to them: one when a promise breaks, one when it is kept again.
 *		See contract.h.
 */
#include "postgres.h"

#include "contract/contract.h"
#include "lib/stringinfo.h"
#include "notify/alert.h"
#include "utils/timestamp.h"

/* whom names those who answer for a source. */
static char *
whom(const EtlContract *contract)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "owner %s", contract->owner_name);
	if (contract->team)
		appendStringInfo(&text, ", team %s", contract->team);
	if (contract->contact)
		appendStringInfo(&text, ", contact %s", contract->contact);
	return text.data;
}

/* etl_contract_tell_recovered closes what is open. */
void
etl_contract_tell_recovered(const EtlContract *contract, const char *promise, const char *why)
{
	TimestampTz since = etl_contract_result_recover(contract->contract_id, promise);

	if (since != DT_NOBEGIN)
		etl_alert_contract(ETL_ALERT_RECOVERED, contract->contract_id, promise, NULL, 0,
						   psprintf("source %s keeps its promise again: %s: %s, after it was broken at %s; %s",
									contract->source, promise, why, timestamptz_to_str(since), whom(contract)));
}

/* etl_contract_tell stores the result and compares it with what is open. */
bool
etl_contract_tell(const EtlContract *contract, const EtlContractResult *result)
{
	bool was_open = etl_contract_result_open(contract->contract_id, result->promise);
	EtlContractResult stored = *result;

	stored.contract_id = contract->contract_id;
	if (!result->is_judged || !result->kept)
	{
		etl_contract_result_put(&stored);
		if (!result->is_judged || was_open)
			return false;
		etl_alert_contract(
			ETL_ALERT_CONTRACT_BROKEN, contract->contract_id, result->promise, contract->severity, result->run_id,
			psprintf("source %s does not keep its promise: %s: expected %s, found %s; %s", contract->source,
					 result->promise, result->expected, result->measured, whom(contract)));
		return true;
	}
	/* First, so that a result of the same run that was broken is not taken as never broken. */
	if (was_open)
		etl_contract_tell_recovered(contract, result->promise, result->measured);
	etl_contract_result_put(&stored);
	return false;
}
