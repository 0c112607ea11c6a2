"""A small Russian CLIP on a locked image tower: photos with labels in, a folder that open_clip loads out."""
