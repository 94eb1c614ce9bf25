# shellcheck shell=bash
# A private Kafka broker for the demo and the tests: one node, KRaft, no ZooKeeper. Sourced after lib.sh.
# Its listeners: plain text, SASL (PLAIN, SCRAM-SHA-256 and -512), TLS, and SASL over TLS. The user of SASL is "etl", the
# certificate of the authority is $WORK/NAME/ca.pem. Topics are not made by themselves.
#   $WORK/NAME/bin/kafka-topics, kafka-configs, kafka-acls, kafka-delete-records, kafka-groups
#                          Kafka's own commands with the address of the broker; the first is "kafka-topics --create
#                          --topic t --partitions 3 --config retention.ms=1000"
#   $WORK/NAME/bin/kafka-txn TOPIC COUNT commit|abort|open
#                          messages of a transaction: test/servers/kafka_txn.c
# Messages come from kcat: kcat -b BROKERS -t TOPIC -P -K: -Z makes "1:a" a message and "1:" a tombstone of key 1, -p
# chooses the partition, -H name=value adds a header.

KAFKA_PACKAGES=(default-jre-headless kcat gcc libc6-dev librdkafka-dev openssl)

# kafka_packages prints the Debian packages that the broker still needs: Maven only when its jars are not in the cache.
kafka_packages() {
	echo "${KAFKA_PACKAGES[@]}"
	[ -d "$(kafka_cached)" ] || command -v mvn >/dev/null || echo maven ca-certificates
}

# kafka_cached prints where the jars are that belong to this pom.xml.
kafka_cached() {
	echo "$CACHE/kafka-$(sha256sum <"$ROOT/test/servers/kafka/pom.xml" | cut -c 1-12)"
}

# kafka_fetch copies the jars into the cache; what else Maven fetches is not kept.
kafka_fetch() {
	local build status=0
	build=$(mktemp -d "$CACHE/build.XXXXXX")
	mkdir "$build/jars"
	{
		mvn -q -B -f "$ROOT/test/servers/kafka/pom.xml" -Dmaven.repo.local="$build/m2" dependency:copy-dependencies \
			-DoutputDirectory="$build/jars" && mv -T "$build/jars" "$(kafka_cached)"
	} >"$WORK/kafka_build.log" 2>&1 </dev/null || status=$?
	rm -rf "$build"
	[ $status -eq 0 ] || [ -d "$(kafka_cached)" ]
}

# kafka_install makes the broker available.
kafka_install() {
	make_cache
	[ -d "$(kafka_cached)" ] || kafka_fetch || die "no jars of Kafka: $(tail -n 1 "$WORK/kafka_build.log")"
}

# kafka_command makes the command NAME in $WORK/SERVER/bin, of a class.
kafka_command() {
	cat >"$WORK/$1/bin/$2" <<-SH
		#!/bin/sh
		dir=\$(dirname "\$(dirname "\$(realpath "\$0")")")
		. "\$dir/env"
		exec java -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp "\$dir/lib/*" $3 \\
			--bootstrap-server "\$ETL_TEST_KAFKA_BROKERS" "\$@"
	SH
}

# kafka_create makes a broker NAME.
kafka_create() {
	local name=$1 dir=$WORK/$1
	make_server_dir "$name"
	mkdir "$dir/bin"
	cp -r "$(kafka_cached)" "$dir/lib"
	chmod -R a+rX "$dir/lib"
	make_certificate "$name"
	cat "$dir/key.pem" "$dir/cert.pem" >"$dir/keystore.pem"
	kafka_command "$name" kafka-topics org.apache.kafka.tools.TopicCommand
	kafka_command "$name" kafka-configs kafka.admin.ConfigCommand
	kafka_command "$name" kafka-acls kafka.admin.AclCommand
	kafka_command "$name" kafka-delete-records org.apache.kafka.tools.DeleteRecordsCommand
	kafka_command "$name" kafka-groups org.apache.kafka.tools.consumer.group.ConsumerGroupCommand
	gcc -O1 -Wall -Wextra -Werror -o "$dir/kafka_txn" "$ROOT/test/servers/kafka_txn.c" -lrdkafka ||
		die "kafka_txn.c does not compile"
	cat >"$dir/bin/kafka-txn" <<-'SH'
		#!/bin/sh
		dir=$(dirname "$(dirname "$(realpath "$0")")")
		. "$dir/env"
		exec "$dir/kafka_txn" "$ETL_TEST_KAFKA_BROKERS" "$@"
	SH
	chmod 755 "$dir"/bin/*
	own "$dir"
}

# kafka_properties prints the configuration: PORT for plain text, others for the rest. Small buffers and short periods,
# so that a test that waits for retention or compaction waits for seconds.
kafka_properties() {
	local dir=$WORK/$1 plain=$2 sasl=$3 ssl=$4 sasl_ssl=$5 controller=$6 login listener
	local scram='org.apache.kafka.common.security.scram.ScramLoginModule required;'
	login="org.apache.kafka.common.security.plain.PlainLoginModule required user_etl=\"$(secret_of "$1")\";"
	cat <<-CONF
		process.roles=broker,controller
		node.id=1
		controller.quorum.voters=1@127.0.0.1:$controller
		listeners=PLAIN://127.0.0.1:$plain,SASL://127.0.0.1:$sasl,SSL://127.0.0.1:$ssl,SASLSSL://127.0.0.1:$sasl_ssl,\\
			CONTROLLER://127.0.0.1:$controller
		advertised.listeners=PLAIN://127.0.0.1:$plain,SASL://127.0.0.1:$sasl,SSL://127.0.0.1:$ssl,\\
			SASLSSL://127.0.0.1:$sasl_ssl
		listener.security.protocol.map=PLAIN:PLAINTEXT,SASL:SASL_PLAINTEXT,SSL:SSL,SASLSSL:SASL_SSL,CONTROLLER:PLAINTEXT
		controller.listener.names=CONTROLLER
		inter.broker.listener.name=PLAIN
		sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
		ssl.keystore.type=PEM
		ssl.keystore.location=$dir/keystore.pem
		authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
		allow.everyone.if.no.acl.found=true
		super.users=User:ANONYMOUS
		log.dirs=$dir/data
		num.io.threads=2
		num.network.threads=1
		auto.create.topics.enable=false
		offsets.topic.num.partitions=1
		offsets.topic.replication.factor=1
		transaction.state.log.num.partitions=1
		transaction.state.log.replication.factor=1
		transaction.state.log.min.isr=1
		group.initial.rebalance.delay.ms=0
		log.cleaner.dedupe.buffer.size=8388608
		log.cleaner.backoff.ms=500
		log.initial.task.delay.ms=500
		log.retention.check.interval.ms=500
		log.segment.delete.delay.ms=500
	CONF
	for listener in sasl saslssl; do
		echo "listener.name.$listener.plain.sasl.jaas.config=$login"
		echo "listener.name.$listener.scram-sha-256.sasl.jaas.config=$scram"
		echo "listener.name.$listener.scram-sha-512.sasl.jaas.config=$scram"
	done
}

# kafka_start_on starts with a directory that is formatted at the first start.
kafka_start_on() {
	local name=$1 port=$2 dir=$WORK/$1 user
	local -a java=(java -Xms64m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1
		-Dorg.slf4j.simpleLogger.defaultLogLevel=warn -Dorg.slf4j.simpleLogger.showDateTime=true
		-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS -cp "$dir/lib/*")
	kafka_properties "$name" "$port" "$(free_port)" "$(free_port)" "$(free_port)" "$(free_port)" >"$dir/server.properties"
	kafka_env "$name" "$port" | sed 's/^/export /' >"$dir/env"
	chmod 600 "$dir/server.properties" "$dir/env"
	own "$dir/server.properties" "$dir/env"
	if [ ! -e "$dir/data/meta.properties" ]; then
		user="name=etl,password=$(secret_of "$name")"
		(cd "$dir" && as_user "${java[@]}" kafka.tools.StorageTool format -c server.properties \
			-t "$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=')" \
			-S "SCRAM-SHA-256=[$user]" -S "SCRAM-SHA-512=[$user]") >"$dir/format.log" 2>&1 </dev/null || {
			cat "$dir/format.log" >"$dir/server.log"
			return 1
		}
	fi
	launch "$name" "${java[@]}" kafka.Kafka server.properties
	answers "$name" kcat -L -b "127.0.0.1:$port" -m 2
}

kafka_start() {
	with_free_port kafka_start_on "$1"
}

# kafka_listener prints the address of one of the broker's listeners.
kafka_listener() {
	sed -n "/^listeners=/,/[^\\]\$/s,.*\b$2://\([0-9.:]*\).*,\1,p" "$WORK/$1/server.properties"
}

# kafka_env prints the variables by which the tests find broker NAME.
kafka_env() {
	local name=$1 dir=$WORK/$1
	cat <<-ENV
		ETL_TEST_KAFKA_BROKERS=127.0.0.1:${2-$(port_of "$name")}
		ETL_TEST_KAFKA_SASL_BROKERS=$(kafka_listener "$name" SASL)
		ETL_TEST_KAFKA_SASL_USER=etl
		ETL_TEST_KAFKA_SASL_PASSWORD=$(secret_of "$name")
		ETL_TEST_KAFKA_SSL_BROKERS=$(kafka_listener "$name" SSL)
		ETL_TEST_KAFKA_SASL_SSL_BROKERS=$(kafka_listener "$name" SASLSSL)
		ETL_TEST_KAFKA_SSL_CA=$dir/ca.pem
		ETL_TEST_KAFKA_BIN=$dir/bin
	ENV
}

# kafka_topic makes a topic; more arguments are settings of it, such as retention.ms=1000.
kafka_topic() {
	local name=$1 topic=$2 partitions=$3 setting
	local -a settings=()
	shift 3
	for setting in "$@"; do
		settings+=(--config "$setting")
	done
	"$WORK/$name/bin/kafka-topics" --create --topic "$topic" --partitions "$partitions" --replication-factor 1 \
		"${settings[@]}"
}
