# shellcheck shell=bash
# The drivers by which BI tools connect: PostgreSQL's JDBC driver with a JDK that runs a source file, psqlODBC with pyodbc. No
# server; sourced after lib.sh, and found by the tests as the servers are.

DRIVERS_PACKAGES=(default-jdk-headless libpostgresql-jdbc-java odbc-postgresql python3-pyodbc)

# drivers_packages prints the Debian packages.
drivers_packages() {
	echo "${DRIVERS_PACKAGES[@]}"
}

# drivers_install makes sure that all is where it is looked for.
drivers_install() {
	[ -n "$(drivers_odbc)" ] || die "there is no psqlodbcw.so"
}

# drivers_odbc prints the path of the ODBC driver.
drivers_odbc() {
	dpkg -L odbc-postgresql | grep '/psqlodbcw\.so$' || true
}

# drivers_create makes an empty directory, as a server would be in.
drivers_create() {
	mkdir "$WORK/$1"
}

# drivers_start has nothing to start.
drivers_start() {
	:
}

# drivers_env prints the variables by which the tests find the drivers.
drivers_env() {
	cat <<-ENV
		ETL_TEST_DRIVERS_JDBC=/usr/share/java/postgresql.jar
		ETL_TEST_DRIVERS_ODBC=$(drivers_odbc)
		ETL_TEST_DRIVERS_PYTHON=/usr/bin/python3
	ENV
}
