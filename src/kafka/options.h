/*
 * options.h
 *		The options of foreign data wrapper etl_kafka, and which settings of librdkafka are among them.
 */
#ifndef ETL_KAFKA_OPTIONS_H
#define ETL_KAFKA_OPTIONS_H

/*
 * The setting of librdkafka that an option of a server stands for, or NULL: fetch_wait_max_ms for fetch.wait.max.ms. Only
 * settings that neither read files, start programs nor weaken what a feed relies on are in the list.
 */
extern const char *etl_kafka_options_setting(const char *option);

#endif /* ETL_KAFKA_OPTIONS_H */
