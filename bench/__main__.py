"""`python -m bench`: every measurement, one after the other."""

import sys

from bench import diameter, profiles, radius, rating, workers

if __name__ == "__main__":
    rating.main()
    profiles.main()
    diameter.main()
    sys.exit(radius.main() or workers.main())
