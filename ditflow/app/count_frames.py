"""Count a video's frames, in a process that may crash alone.

python -m ditflow.app.count_frames VIDEO
"""

import sys

from ditflow.errors import DitflowError, printable
from ditflow.reading import frame_count

if __name__ == "__main__":
    try:
        print(frame_count(sys.argv[1]))
    except DitflowError as error:
        print(printable(str(error)), file=sys.stderr)
        raise SystemExit(2) from None
