/*
 * channel.h
 *		Channels webhook and email: from a delivery to a request, and from its result to words.
 */
#ifndef ETL_CHANNEL_H
#define ETL_CHANNEL_H

#include "catalog/alert_delivery.h"
#include "net/transfer.h"

typedef struct EtlChannel
{
	EtlTransferRequest request;
	const char *problem; /* why it cannot be sent, or NULL; trying again would not help */
	EtlNames secret;	 /* texts that no record may show */
} EtlChannel;

/* Makes the request, reading server and secrets as they are now. Inside a transaction. */
extern void etl_channel_prepare(const EtlDelivery *delivery, const EtlAlertRoute *route, EtlChannel *channel);

/* What came of it, in words without secrets. Returns true when it was delivered; again: if not, another try may work. */
extern bool etl_channel_outcome(const EtlChannel *channel, const EtlTransferResult *result, char **words, bool *again);

#endif /* ETL_CHANNEL_H */
