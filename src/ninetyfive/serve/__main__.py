"""`python -m ninetyfive.serve CONFIG.json [--control FD]`: one worker."""

from ninetyfive.serve.worker import main

main()
