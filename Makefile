# Nephoscope: `make run` and `make test` set up everything that is missing by themselves (Debian 12, as root).
MAKEFLAGS += --no-print-directory
provision := sh provision/bootstrap.sh
.DEFAULT_GOAL := help
.PHONY: help setup run test check clean seed-demo bench-memory openapi dashboard requirements

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

run: ## set up what is missing, then serve in the foreground until Ctrl-C (DEMO=0: without the live story)
	@exec $(provision) run

test: ## set up what is missing, then run every test (T="path or options": only those)
	@exec $(provision) test $(T)

check: ## formatting, lint, types and the floors of the house
	@exec $(provision) check

setup: ## set up what is missing and stop there
	@exec $(provision) setup

clean: ## stop what is ours and remove everything that was made (var/)
	@exec $(provision) clean

seed-demo: ## a month of sample history for two projects, marked as such, into the running installation
	@exec $(provision) seed-demo

bench-memory: ## memory and CPU of the idle processes of the running installation
	@exec $(provision) bench-memory

openapi: ## write the native API's description to dashboard/openapi.json
	@exec $(provision) openapi

dashboard: ## build the dashboard
	@exec $(provision) dashboard

requirements: ## choose the newest allowed versions of all Python packages anew
	@exec $(provision) requirements
