"""What is done to one volume and one segmentation."""
