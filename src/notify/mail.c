/*
 * mail.c
 *		An alert as a message for a mail server (RFC 5322, 2045, 2047). Nothing that comes from an alert can begin a header:
 *		the text is base64, and so is the subject unless all of it is printable ASCII.
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "compat.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "notify/mail.h"
#include "notify/message.h"
#include "pgtime.h"
#include "utils/timestamp.h"

/* Bytes of a line of base64, and of an encoded word of a subject, before they are encoded. */
#define LINE_BYTES 57
#define WORD_BYTES 42
#define SUBJECT_LIMIT 200

/* to_utf8 returns a text of the database in UTF-8. */
static char *
to_utf8(const char *text)
{
	return pg_server_to_any(text, strlen(text), PG_UTF8);
}

/* append_base64 adds bytes in base64. */
static void
append_base64(StringInfo out, const char *bytes, int length)
{
	int size = pg_b64_enc_len(length);
	int n;

	enlargeStringInfo(out, size + 1);
	n = etl_compat_base64(bytes, length, out->data + out->len, size);
	if (n < 0)
		elog(ERROR, "could not encode a mail");
	out->len += n;
	out->data[out->len] = '\0';
}

/* is_plain says whether a header can hold a text as it is. */
static bool
is_plain(const char *text)
{
	for (const char *c = text; *c != '\0'; c++)
		if (*c < ' ' || *c >= '\x7f')
			return false;
	/* What looks like an encoded word would be decoded. */
	return strstr(text, "=?") == NULL && strlen(text) <= SUBJECT_LIMIT;
}

/* append_subject adds the header Subject, in encoded words of whole characters if need be. */
static void
append_subject(StringInfo out, const EtlMail *mail)
{
	char *subject = etl_message_clip(
		psprintf("%s%s%s", mail->prefix ? mail->prefix : "", mail->prefix ? " " : "", etl_message_subject(mail->alert)),
		SUBJECT_LIMIT);
	char *utf8 = to_utf8(subject);
	int length = strlen(utf8);

	appendStringInfoString(out, "Subject:");
	if (is_plain(utf8))
	{
		appendStringInfo(out, " %s\r\n", utf8);
		return;
	}
	for (int done = 0; done < length;)
	{
		int part = Min(length - done, WORD_BYTES);

		/* A character of UTF-8 continues with bytes 10xxxxxx. */
		while (done + part < length && part > 1 && ((unsigned char) utf8[done + part] & 0xC0) == 0x80)
			part--;
		appendStringInfoString(out, done > 0 ? "\r\n =?UTF-8?B?" : " =?UTF-8?B?");
		append_base64(out, utf8 + done, part);
		appendStringInfoString(out, "?=");
		done += part;
	}
	appendStringInfoString(out, "\r\n");
}

/* append_date adds the header Date. */
static void
append_date(StringInfo out)
{
	pg_time_t now = timestamptz_to_time_t(GetCurrentTimestamp());
	char date[64];

	pg_strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S +0000", pg_gmtime(&now));
	appendStringInfo(out, "Date: %s\r\n", date);
}

/* append_line adds a line of the text: a name and a value. */
static void
append_line(StringInfo out, const char *name, const char *value)
{
	if (value != NULL)
		appendStringInfo(out, "%-10s %s\n", name, value);
}

/* make_text returns what a person reads. */
static char *
make_text(const EtlAlert *alert)
{
	StringInfoData out;
	pg_time_t created = timestamptz_to_time_t(alert->created_at);
	char time[64];

	pg_strftime(time, sizeof(time), "%Y-%m-%d %H:%M:%S UTC", pg_gmtime(&created));
	initStringInfo(&out);
	appendStringInfo(&out, "%s\n\n%s\n\n", etl_message_subject(alert), alert->message);
	append_line(&out, "event:", alert->event);
	append_line(&out, "pipeline:", alert->pipeline);
	append_line(&out, "task:", alert->task);
	if (alert->run_id != 0)
		append_line(&out, "run:", psprintf(INT64_FORMAT, alert->run_id));
	append_line(&out, "database:", get_database_name(MyDatabaseId));
	append_line(&out, "time:", time);
	append_line(&out, "alert:", psprintf(INT64_FORMAT, alert->alert_id));
	return out.data;
}

/* append_text adds the text in base64; its lines end as mail wants them to. */
static void
append_text(StringInfo out, const EtlAlert *alert)
{
	StringInfoData text;
	char *utf8 = to_utf8(make_text(alert));

	initStringInfo(&text);
	for (const char *c = utf8; *c != '\0'; c++)
	{
		if (*c == '\r')
			continue;
		if (*c == '\n')
			appendStringInfoChar(&text, '\r');
		appendStringInfoChar(&text, *c);
	}
	for (int done = 0; done < text.len; done += LINE_BYTES)
	{
		append_base64(out, text.data + done, Min(text.len - done, LINE_BYTES));
		appendStringInfoString(out, "\r\n");
	}
}

/* etl_mail_compose returns the message. */
char *
etl_mail_compose(const EtlMail *mail)
{
	StringInfoData out;

	initStringInfo(&out);
	append_date(&out);
	appendStringInfo(&out, "From: <%s>\r\nTo: ", mail->from);
	for (int i = 0; i < mail->to.n; i++)
		appendStringInfo(&out, "%s<%s>", i > 0 ? ",\r\n " : "", mail->to.name[i]);
	appendStringInfo(&out, "\r\nMessage-ID: <%s>\r\n", mail->message_id);
	append_subject(&out, mail);
	appendStringInfoString(&out, "Auto-Submitted: auto-generated\r\n"
								 "MIME-Version: 1.0\r\n"
								 "Content-Type: text/plain; charset=utf-8\r\n"
								 "Content-Transfer-Encoding: base64\r\n\r\n");
	append_text(&out, mail->alert);
	return out.data;
}
