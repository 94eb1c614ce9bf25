# shellcheck shell=bash
# A private nginx for the demo and the tests: an HTTP API made of files. Sourced after lib.sh. It serves $WORK/NAME/www,
# over HTTP, and over HTTPS by a certificate of the authority $WORK/NAME/ca.pem:
#   /FILE                  with ETag and Last-Modified, compressed where asked for
#   /auth/FILE             the same file for user "etl" and the password in $WORK/NAME/secret
#   /bearer/FILE           the same file for "Authorization: Bearer" and that password
#   /limited/FILE          one request a second, more get 429 with Retry-After: 1
#   /slow/FILE             2000 bytes a second
#   /pages/PATH?page=N     the file PATH/N.json; 1 without the argument, 404 after the last
#   /moved/ /found/ /temporary/ /permanent/FILE     301, 302, 307 and 308 to /FILE
#   /loop                  302 to itself
#   /https/PATH /http/PATH                          302 to the other port, which is another origin
#   /status/N              that status, N one of 400 401 403 404 410 429 500 502 503 504; 429 and 503 with Retry-After: 1
#   /echo                  the request: method, URI, and the headers Authorization, Accept, User-Agent, X-Test, Cookie
# More locations: write them to $WORK/NAME/locations/*.conf and send SIGHUP to the process in $WORK/NAME/server.pid.
# Each request is one line of $WORK/NAME/access.log: method, URI, status, bytes.

# nginx_packages prints the Debian packages that the server needs besides nginx.
nginx_packages() {
	echo openssl
}

# nginx_install installs nginx without its service: Debian starts that at once and at every boot.
nginx_install() {
	local policy=/usr/sbin/policy-rc.d status=0 mine=
	local -a as_root=()
	[ -n "$(missing_packages nginx)" ] || return 0
	[ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
	if [ ! -e $policy ] && printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee $policy >/dev/null 2>&1; then
		mine=1
		"${as_root[@]}" chmod 755 $policy
	fi
	(install_packages nginx) || status=$?
	[ -z "$mine" ] || "${as_root[@]}" rm -f $policy
	[ $status -eq 0 ] || exit $status
	! command -v systemctl >/dev/null || "${as_root[@]}" systemctl disable nginx >>"$WORK/packages.log" 2>&1 || true
}

# nginx_create makes a server NAME.
nginx_create() {
	local name=$1 dir=$WORK/$1
	make_server_dir "$name"
	mkdir "$dir/www" "$dir/locations" "$dir/tmp"
	make_certificate "$name"
	echo "etl:$(openssl passwd -5 "$(secret_of "$name")")" >"$dir/htpasswd"
	chmod 600 "$dir/htpasswd"
	echo '[{"id": 1, "name": "first"}, {"id": 2, "name": "second"}]' >"$dir/www/items.json"
	own "$dir"
}

# nginx_statuses prints the locations that answer with nothing but a status.
nginx_statuses() {
	local status
	for status in 400 401 403 404 410 500 502 504; do
		echo "location = /status/$status { return $status; }"
	done
	for status in 429 503; do
		echo "location = /status/$status { add_header Retry-After 1 always; return $status; }"
	done
}

# nginx_conf prints the configuration, for two ports.
nginx_conf() {
	local dir=$WORK/$1 port=$2 tls_port=$3 kind
	cat <<-CONF
		daemon off;
		worker_processes 1;
		pid $dir/nginx.pid;
		error_log stderr;
		events { worker_connections 256; }
		http {
			types { text/html html; text/plain txt; text/csv csv; application/json json; application/x-ndjson ndjson; }
			default_type application/octet-stream;
			log_format brief '\$request_method \$request_uri \$status \$body_bytes_sent';
			access_log $dir/access.log brief;
			gzip on;
			gzip_types text/plain text/csv application/json application/x-ndjson;
			gzip_min_length 1;
			limit_req_zone \$binary_remote_addr zone=one:1m rate=1r/s;
			limit_req_status 429;
			map \$http_authorization \$bearer {
				default 0;
				"Bearer $(secret_of "$1")" 1;
			}
			map \$arg_page \$page {
				default \$arg_page;
				"" 1;
			}
	CONF
	for kind in client_body proxy fastcgi uwsgi scgi; do
		echo "	${kind}_temp_path $dir/tmp/$kind;"
	done
	cat <<-CONF
			server {
				listen 127.0.0.1:$port;
				listen 127.0.0.1:$tls_port ssl;
				server_name localhost;
				ssl_certificate $dir/cert.pem;
				ssl_certificate_key $dir/key.pem;
				root $dir/www;
				absolute_redirect off;
				location /auth/ {
					alias $dir/www/;
					auth_basic test;
					auth_basic_user_file $dir/htpasswd;
				}
				location /bearer/ {
					if (\$bearer = 0) { return 401; }
					alias $dir/www/;
				}
				location /limited/ {
					alias $dir/www/;
					limit_req zone=one;
					error_page 429 = @limited;
				}
				location @limited { add_header Retry-After 1 always; return 429; }
				location /slow/ { alias $dir/www/; limit_rate 2000; gzip off; }
				location /pages/ { rewrite ^/pages/(.*)\$ /\$1/\$page.json last; }
				location /moved/ { rewrite ^/moved(/.*)\$ \$1 permanent; }
				location /found/ { rewrite ^/found(/.*)\$ \$1 redirect; }
				location ~ ^/temporary(/.*)\$ { return 307 \$1\$is_args\$args; }
				location ~ ^/permanent(/.*)\$ { return 308 \$1\$is_args\$args; }
				location = /loop { return 302 /loop; }
				location ~ ^/https(/.*)\$ { return 302 https://127.0.0.1:$tls_port\$1\$is_args\$args; }
				location ~ ^/http(/.*)\$ { return 302 http://127.0.0.1:$port\$1\$is_args\$args; }
				location = /echo {
					default_type text/plain;
					set \$about "Accept: \$http_accept\nUser-Agent: \$http_user_agent\nX-Test: \$http_x_test";
					return 200 "\$request_method \$request_uri\nAuthorization: \$http_authorization\n\$about\nCookie: \$http_cookie\n";
				}
				$(nginx_statuses)
				include $dir/locations/*.conf;
			}
		}
	CONF
}

nginx_start_on() {
	local name=$1 port=$2 dir=$WORK/$1 tls_port
	tls_port=$(free_port)
	nginx_conf "$name" "$port" "$tls_port" >"$dir/nginx.conf"
	echo "$tls_port" >"$dir/tls_port"
	chmod 600 "$dir/nginx.conf"
	own "$dir/nginx.conf"
	launch "$name" nginx -p "$dir" -c "$dir/nginx.conf" -e stderr
	# shellcheck disable=SC2016 # a variable of Perl
	answers "$name" perl -MHTTP::Tiny -e 'exit !HTTP::Tiny->new->get($ARGV[0])->{success}' "http://127.0.0.1:$port/echo"
}

nginx_start() {
	with_free_port nginx_start_on "$1"
}

# nginx_env prints the variables by which the tests find server NAME.
nginx_env() {
	local dir=$WORK/$1
	cat <<-ENV
		ETL_TEST_NGINX_URL=http://127.0.0.1:$(port_of "$1")
		ETL_TEST_NGINX_TLS_URL=https://127.0.0.1:$(cat "$dir/tls_port")
		ETL_TEST_NGINX_CA=$dir/ca.pem
		ETL_TEST_NGINX_WWW=$dir/www
		ETL_TEST_NGINX_USER=etl
		ETL_TEST_NGINX_PASSWORD=$(secret_of "$1")
	ENV
}
