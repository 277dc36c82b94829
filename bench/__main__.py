"""`python -m bench`: every measurement, one after the other."""

import sys

from bench import diameter, radius, rating

if __name__ == "__main__":
    rating.main()
    diameter.main()
    sys.exit(radius.main())
