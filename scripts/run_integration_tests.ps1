<#
.SYNOPSIS
Runs the integration tests: finds a Python, which does the rest.

.DESCRIPTION
The options are those of run_integration_tests.sh; the logic of both is integration_tests.py. The
environment variable PYTHON names another Python than the one that would be found.

This file was parsed (by tree-sitter-powershell, in the tests), not run: no PowerShell was at hand.

.PARAMETER KeepAlive
Leave the services running.
.PARAMETER Verbose
Show all that is said.
.PARAMETER NoDocker
Embedded services, also where there is Docker. They need Linux.
.PARAMETER NoBuild
Take the images as they are, not built anew.
.PARAMETER Json
The summary for programs, on standard output.
.PARAMETER Only
Only these tests: an expression of pytest -k.
.PARAMETER Logs
Where logs are collected after a failure.
#>
# No [CmdletBinding()]: it brings a -Verbose of its own.
param(
    [switch]$KeepAlive,
    [switch]$Verbose,
    [switch]$NoDocker,
    [switch]$NoBuild,
    [switch]$Json,
    [string]$Only,
    [string]$Logs
)

if ($args.Count -gt 0) {
    [Console]::Error.WriteLine("there is no option $($args[0]); see: Get-Help $PSCommandPath -Detailed")
    exit 2
}

$options = @()
if ($KeepAlive) { $options += '--keep-alive' }
if ($Verbose) { $options += '--verbose' }
if ($NoDocker) { $options += '--no-docker' }
if ($NoBuild) { $options += '--no-build' }
if ($Json) { $options += '--json' }
if ($Only) { $options += "--only=$Only" }
if ($Logs) { $options += "--logs=$Logs" }

$root = Split-Path -Parent $PSScriptRoot
$candidates = @(
    $env:PYTHON,
    (Join-Path $root '.venv/Scripts/python.exe'),
    (Join-Path $root '.venv/bin/python'),
    'python3',
    'python',
    'py'
)
foreach ($python in $candidates) {
    if (-not $python) { continue }
    if (-not (Get-Command $python -CommandType Application -ErrorAction SilentlyContinue)) { continue }
    & $python -c 'import sys; sys.exit(sys.version_info < (3, 11))'
    if ($LASTEXITCODE -ne 0) { continue }
    & $python (Join-Path $PSScriptRoot 'integration_tests.py') @options
    exit $LASTEXITCODE
}
[Console]::Error.WriteLine('no Python 3.11 or newer was found; install one, or name it in the variable PYTHON')
exit 2
