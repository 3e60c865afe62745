"""A VICS 2.0 hash set of the sample's known pictures: MD5, SHA-1, and PDQ among the alternative hashes.

The category numbers mean nothing: the file declares no country (`Default`), and the map of categories is the
importer's. Pictures are harmless; that some are "known" is only a role that they play.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from pathlib import Path

from pipeline import files
from pipeline.sample.media import Gallery

CONTEXT = "http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/Default/$metadata#Media"


def write(path: Path, gallery: Gallery, day: datetime) -> int:
    """Write the hash set; returns the number of its media. MediaID n is picture n - 1 of the gallery."""
    media = []
    for number in range(gallery.known):
        content = gallery.original(number)
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest().upper()
        media.append(
            {
                "MediaID": number + 1,
                "Category": number % 3 + 1,
                "MD5": md5,
                "SHA1": hashlib.sha1(content, usedforsecurity=False).hexdigest().upper(),
                "MediaSize": len(content),
                "DateUpdated": day.strftime("%Y-%m-%dT%H:%M:%S.0000Z"),
                "VictimIdentified": "true" if number % 4 else "false",
                "IsDistributed": "true" if number % 2 else "false",
                "Series": "Synthetic series" if number % 10 == 0 else "",
                "Tags": "synthetic,sample",
                "AlternativeHashes": [{"MD5": md5, "HashName": "PDQ", "HashValue": gallery.pdq(number)}],
            }
        )
    tree = {"@odata.context": CONTEXT, "value": media}
    files.write_bytes(path, json.dumps(tree, indent=1).encode())
    return len(media)
