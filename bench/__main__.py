"""`python -m bench`: every measurement, one after the other."""

import platform
import sys

from aaa.radius import packet
from bench import diameter, profiles, radius, rating, workers

if __name__ == "__main__":
    build = "compiled" if packet.__file__.endswith(".so") else "plain"
    print(f"Python {platform.python_version()} ({sys.base_prefix}), {build} modules", flush=True)
    rating.main()
    profiles.main()
    diameter.main()
    sys.exit(radius.main() or workers.main())
