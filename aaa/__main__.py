"""`python -m aaa` is `aaad`."""

import sys

from aaa.app import main

sys.exit(main())
