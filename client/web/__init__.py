"""The device's local page: try the camera, confirm or correct, enrol, see what left.

Served to this computer's browsers only; nothing on it comes from elsewhere.
"""

from client.web.app import make_app as make_app
from client.web.serving import serve as serve
