# Stands in for an image of Valkey or Redis where none can be pulled: Debian's Redis.
ARG BASE=botrix-standin-python
FROM ${BASE}
RUN apt-get update -q && apt-get install -q -y --no-install-recommends redis-server \
    && rm -rf /var/lib/apt/lists/* && mkdir /data && chown 999:999 /data
USER 999
WORKDIR /data
CMD ["redis-server"]
