lint:
	.venvs/jobs/bin/ruff check .
	.venvs/jobs/bin/ruff format --check .
	MYPYPATH=images/twin .venvs/jobs/bin/mypy images/twin/twin
	.venvs/jobs/bin/lint-imports --no-logo 2>/dev/null || .venvs/jobs/bin/lint-imports
