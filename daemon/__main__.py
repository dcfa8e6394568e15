import sys

from coexec.daemon.cli import main

sys.exit(main())
