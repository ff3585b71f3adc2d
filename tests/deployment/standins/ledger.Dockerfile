# Stands in for the image `postgres` where it cannot be pulled: Debian's PostgreSQL, and as much of
# that image's contract as docker-compose.yml uses.
ARG BASE=botrix-standin-python
FROM ${BASE}
RUN apt-get update -q && apt-get install -q -y --no-install-recommends postgresql \
    && rm -rf /var/lib/apt/lists/* /var/lib/postgresql/* && mkdir /var/lib/postgresql/data \
    && chown postgres: /var/lib/postgresql/data && chmod 3777 /var/run/postgresql
COPY ledger.sh /
ENV PATH=/usr/lib/postgresql/15/bin:$PATH
USER postgres
ENTRYPOINT ["/ledger.sh"]
